package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/walstream"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
)

// Backup takes a base backup as o says, and returns when it is on disk, checked
// as far as §5 asks, and complete: every file that the server listed, the WAL that
// it needs, its label and its manifest.
//
// Where it fails, the error says why, once, and the target is as it was before
// (unless o.NoClean). The server's refusal is a *[protocol.Error] in it. When ctx
// ends, the backup ends at once, on the server too; the error then wraps the
// cause of ctx. The one failure that leaves a backup is [ErrChecksum]. No
// goroutine outlives the call.
func Backup(ctx context.Context, o Options) (Result, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Result{}, err
	}
	b := &backup{Options: o, events: events{log: o.Log}}
	if b.out, err = newOutput(o, &b.events); err != nil {
		return Result{}, err
	}
	b.refresh, _ = b.out.(output.Refresher)
	if b.dialer, err = b.newDialer(); err != nil {
		return Result{}, err
	}
	stopReport := sync.OnceFunc(b.progress.report(o.Progress))
	defer stopReport()

	// The connections end with this context, whoever ends it.
	connected, disconnect := context.WithCancelCause(ctx)
	defer disconnect(nil)
	b.fail = disconnect
	err = b.run(connected)
	if failed, ok := errors.AsType[*walstream.Error](context.Cause(connected)); err != nil && ok {
		err = failed
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("backup was canceled: %w", context.Cause(ctx))
	}
	stopReport() // what is told from here on is the end
	if err == nil {
		b.events.tell(LevelVerbose, "base backup completed")
		b.hangUp()
		return b.result(), b.checksumError()
	}
	if b.claimed {
		b.events.hand(Event{Level: LevelInfo, Message: err.Error(), Err: err})
	}
	disconnect(nil)
	if b.stream != nil {
		b.stream.Close()
		b.stream.DropSlot(b.dialer)
	}
	b.out.Undo()
	return Result{}, err
}

// backup is a backup in progress. Its steps are called by one goroutine, in the
// order in which run names them.
type backup struct {
	Options
	events   events
	progress progress
	dialer   *wire.Dialer
	excuses  excuses

	leader      *wire.Conn
	primary     string // primary_conninfo of the standby that the backup is to be; empty: it is none
	workers     []*worker
	cluster     cluster
	tablespaces []protocol.Tablespace // before START_BACKUP
	out         output.Output
	claimed     bool             // out may have something to undo
	refresh     output.Refresher // out, where it begins with an earlier backup; else nil
	kept        kept             // of that
	order       []int32          // in which files are fetched
	started     protocol.BackupStart
	listing     *output.Listing
	initForks   map[string]int64 // that the copy lacks: when changed, by path
	warnedOf    map[string]bool  // configuration files that came too late
	stopped     protocol.BackupStop
	badPages    *protocol.Error // what STOP_BACKUP said about page checksums (§5.7)
	history     walstream.Lineage
	stream      *walstream.Stream // nil: WAL is not streamed
	fail        context.CancelCauseFunc
	wal         *output.Files  // nil: none was copied
	walRecords  *walrecord.Run // of wal
	extra       []output.File  // for the manifest, see contents
}

// step is a step of a backup.
type step struct {
	name string
	do   func(context.Context) error
}

// run takes the steps of a backup. Each of them is safe to be killed in, those of the
// release too (§5.6).
func (b *backup) run(ctx context.Context) error {
	steps := []step{
		{"connect", b.connect},
		{"identify", b.identify},
		{"list tablespaces", b.listTablespaces},
		{"choose WAL method", b.chooseWAL},
		{"find primary", b.findPrimary},
		{"open stream", b.openStream},
		{"connect workers", b.connectWorkers},
		{"create target", b.createTarget},
		{"start backup", b.startBackup},
		{"start stream", b.startStream},
		{"join backup", b.joinBackup},
		{"list files", b.listFiles},
		{"create directories", b.createDirectories},
		{"compare files", b.compareFiles},
		{"copy files", b.copyFiles},
		{"copy control file", b.copyControlFile},
		{"find init forks", b.findInitForks},
		{"stop backup", b.stopBackup},
		{"check tablespaces", b.checkTablespaces},
		{"check files", b.checkUnchanged},
		{"mark unlogged relations", b.markUnlogged},
		{"copy WAL", b.copyWAL},
		{"check WAL", b.judgeWAL},
		{"write label", b.writeLabel},
		{"write recovery configuration", b.writeRecoveryConf},
	}
	for _, step := range steps {
		if err := b.begin(ctx, step.name); err != nil {
			return err
		}
		if err := step.do(ctx); err != nil {
			return err
		}
	}
	return b.release(ctx)
}

// begin begins a step, unless the backup is over.
func (b *backup) begin(ctx context.Context, step string) error {
	b.progress.begin(step)
	b.step(step)
	return ctx.Err()
}

func (b *backup) result() Result {
	r := Result{
		SystemID:     b.cluster.system.SystemID,
		StartPtr:     b.stopped.StartPtr,
		Timeline:     b.stopped.Timeline,
		StopPtr:      b.stopped.StopPtr,
		StopTimeline: b.stopped.StopTimeline,
		HasLabel:     b.stopped.Label != "",
		Files:        b.progress.files.Load(),
		Bytes:        b.progress.bytes.Load(),
		FetchedFiles: b.progress.files.Load() - b.kept.files,
		FetchedBytes: b.progress.bytes.Load() - b.kept.bytes,
		KeptFiles:    b.kept.files,
		KeptBytes:    b.kept.bytes,
		Vanished:     b.excuses.vanished,
	}
	if b.refresh != nil {
		r.RemovedFiles = b.refresh.Removed()
	}
	if b.wal != nil {
		r.WALFiles = int64(b.wal.Len())
	}
	return r
}

func (b *backup) checksumError() error {
	if b.badPages == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrChecksum, b.badPages)
}

// hangUp ends the sessions.
func (b *backup) hangUp() {
	for _, w := range b.workers {
		w.conn.Close()
	}
	if b.stream != nil {
		b.stream.Close()
	}
	b.leader.Close()
}

// isAborted reports whether the server says that the backup is not running any
// more, which has a cause elsewhere.
func isAborted(err error) bool {
	return protocol.HasCode(err, protocol.CodeObjectNotInPrerequisite)
}
