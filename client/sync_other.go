//go:build !linux

package client

// syncTrees makes the trees below the directories durable.
func syncTrees(places []*place) error {
	for _, p := range places {
		if err := syncTree(p.path); err != nil {
			return err
		}
	}
	return nil
}
