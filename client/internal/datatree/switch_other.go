//go:build !linux

package datatree

import "errors"

func exchangeAtOnce(_, _ string) error { return errors.ErrUnsupported }
