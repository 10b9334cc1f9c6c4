//go:build !linux

package clientkit

import "errors"

// canWatch reports whether the order can be seen in which names appear.
const canWatch = false

// watch sees in which order names appear in the target; here it cannot.
type watch struct{ released chan struct{} }

func newWatch() (*watch, error) { return nil, errors.ErrUnsupported }

func (*watch) arm(string) error { return errors.ErrUnsupported }

func (*watch) end() ([]appearance, error) { return nil, errors.ErrUnsupported }
