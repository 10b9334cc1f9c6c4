package wire

import (
	"fmt"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// TimeoutError says that a server neither answers nor reads, for longer than
// [Config].Timeout. Whether another connection would do better, nobody can tell.
type TimeoutError struct{ timeout time.Duration }

func (e *TimeoutError) Error() string { return fmt.Sprintf("server has been silent for %v", e.timeout) }

// Timeout is true, as for the timeouts of package net.
func (*TimeoutError) Timeout() bool { return true }

// AllowSilence lifts the timeout as soon as the server has said, in a notice, what it
// waits for: its archive may take hours. The caller calls end to have the timeout back.
func (c *Conn) AllowSilence() (end func()) {
	notice, timeout := c.notice, c.tap.timeout
	c.notice = func(n *protocol.Error) {
		c.tap.timeout = 0
		notice(n)
	}
	return func() { c.notice, c.tap.timeout = notice, timeout }
}
