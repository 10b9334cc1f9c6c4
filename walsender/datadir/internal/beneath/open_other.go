//go:build unix && !linux

package beneath

// openBeneath opens a path beneath a directory without following any link.
// ELOOP is the answer to one.
func openBeneath(dirfd int, name string, flags int) (int, error) {
	return openComponents(dirfd, name, flags)
}
