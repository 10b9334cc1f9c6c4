package main

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/backupdir"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// openStopped opens what lies in the directory and does not run: a finished backup, or the
// cluster of a server. The log says which when the server listens.
func (c *serveCommand) openStopped(log *zap.Logger) (servedCluster, error) {
	options := datadir.DirOptions{NewestMajor: c.NewestMajor, DropCache: c.DropCache}
	backup, err := backupdir.Open(c.Pgdata, backupdir.Options{DirOptions: options, Verify: c.Verify})
	ordinary, isOrdinary := errors.AsType[*backupdir.OrdinaryError](err)
	switch {
	case err == nil:
		c.announce = func() {
			log.Info(describedBackup(backup.Info()), zap.String("directory", c.Pgdata), zap.Bool("checksums_verified", c.Verify))
		}
		c.refuses = warnOfRefusal(backup, log)
		return backup, nil
	case !isOrdinary:
		return nil, err
	case c.Verify:
		return nil, fmt.Errorf("--verify is for a backup: %w", ordinary)
	}
	stopped, err := datadir.Open(c.Pgdata, datadir.Options{Crashed: c.Crashed, DirOptions: options})
	if err != nil {
		return nil, err
	}
	if ordinary.Reason != "" {
		c.announce = func() {
			log.Info("serving a cluster, not the backup that it was made from: " + ordinary.Reason)
		}
	}
	c.refuses = warnOfRefusal(stopped, log)
	return stopped, nil
}

// describedBackup says in a line what backup is served.
func describedBackup(i backupdir.Info) string {
	of, taken, in := "a cluster that was shut down", "", ""
	switch {
	case i.FromStandby:
		of = "a standby"
	case i.Taken != "":
		of = "a primary"
	}
	if i.Taken != "" {
		taken = " taken at " + protocol.Shorten(i.Taken, 64)
	}
	if i.Archives {
		in = " in archives"
	}
	return fmt.Sprintf("serving a backup of %s%s%s, from %v to %v on timeline %d: %d files, %d MB",
		of, taken, in, i.Start, i.Stop, i.Timeline, i.Files, i.Bytes>>20)
}

// warnOfRefusal says at once what each START_BACKUP will be answered with, unless the
// cluster changes, and reports whether there was anything to say.
func warnOfRefusal(cluster walsender.BackupChecker, log *zap.Logger) bool {
	err := cluster.CheckBackup(context.Background())
	if err == nil {
		return false
	}
	fields := []zap.Field{zap.Error(err)}
	if refused, ok := errors.AsType[*protocol.Error](err); ok && refused.Hint != "" {
		fields = append(fields, zap.String("hint", refused.Hint))
	}
	log.Warn("no backup can be taken now", fields...)
	return true
}
