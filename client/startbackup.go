package client

import (
	"context"
	"fmt"

	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

func (b *backup) startBackup(context.Context) error {
	command := grammar.StartBackup{Label: b.Label, Fast: b.FastCheckpoint, MaxRate: b.MaxRate}
	b.events.tell(LevelVerbose, "initiating base backup, waiting for checkpoint to complete")
	b.progress.maxRate.Store(int64(b.MaxRate))
	b.leader.RateChanged = b.rateChanged
	var err error
	if b.started, err = wire.Row(b.leader, command.String(), protocol.DecodeBackupStart); err != nil {
		return fmt.Errorf("could not initiate base backup: %w", err)
	}
	b.events.tell(LevelVerbose, "checkpoint completed")
	b.events.tell(LevelVerbose, "write-ahead log start point: %v on timeline %d", b.started.StartPtr, b.started.Timeline)
	return nil
}

// rateChanged hears from the server that somebody has changed the rate (§8.2).
func (b *backup) rateChanged(kBps int) {
	b.progress.maxRate.Store(int64(kBps))
	if kBps == 0 {
		b.events.tell(LevelVerbose, "transfer rate was changed: it is not limited any more")
		return
	}
	b.events.tell(LevelVerbose, "transfer rate was changed: it is limited to %d kB/s", kBps)
}
