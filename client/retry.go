package client

import (
	"context"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// How long the server is given to notice that a connection is lost: to have its place
// again, and to have STOP_BACKUP answered, for which it may still be sending.
const (
	redialFor = 30 * time.Second
	inUseFor  = 2 * time.Minute
)

// whileInUse repeats a command for as long as the server says that a file is being
// sent, which can only be over a connection that is lost.
func (b *backup) whileInUse(ctx context.Context, command func() error) error {
	return whileRefused(ctx, protocol.CodeObjectInUse, inUseFor, command)
}

// whileRefused repeats a command as long as the server refuses it with the SQLSTATE,
// but not longer than patience.
func whileRefused(ctx context.Context, code string, patience time.Duration, command func() error) error {
	for deadline := time.Now().Add(patience); ; {
		err := command()
		if !protocol.HasCode(err, code) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
