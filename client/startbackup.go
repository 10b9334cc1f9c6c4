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
	var err error
	if b.started, err = wire.Row(b.leader, command.String(), protocol.DecodeBackupStart); err != nil {
		return fmt.Errorf("could not initiate base backup: %w", err)
	}
	b.events.tell(LevelVerbose, "checkpoint completed")
	b.events.tell(LevelVerbose, "write-ahead log start point: %v on timeline %d", b.started.StartPtr, b.started.Timeline)
	return nil
}
