package client

import (
	"context"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

func (b *backup) createDirectories(context.Context) error { return b.out.LayOut(b.listing) }

// newReceiver is what a connection needs to write files.
func (b *backup) newReceiver() receiver {
	r := receiver{sink: b.out.Sink(), progress: &b.progress}
	if !b.Manifest.Omit {
		r.sum = b.Manifest.Checksums.New()
	}
	return r
}

func (b *backup) copyFiles(ctx context.Context) error {
	t := &transfer{
		files:      &b.listing.Files,
		queue:      newQueue(b.order),
		jobs:       b.Jobs,
		minJobs:    b.MinJobs,
		tell:       b.events.tell,
		unverified: b.NoVerifyChecksums,
		describe:   !b.NoDescriptors && b.MaxRate == 0,
		received:   b.fileReceived,
		reconnect:  func(attempt context.Context) (*wire.Conn, error) { return b.rejoin(attempt, ctx) },
	}
	var memory pieces
	defer memory.release()
	for _, w := range b.workers {
		w.receiver = b.newReceiver()
		w.pages, w.pieces, w.lender = b.cluster.verifiesPages, &memory, t.queue
	}
	err := b.whileLed(ctx, func(copying context.Context) error { return t.copyAll(copying, b.workers) })
	if err == nil {
		b.events.tell(LevelVerbose, "%v", &t.ways)
	}
	return err
}

func (b *backup) fileReceived(f *output.File, listed int64, refused *protocol.Error) error {
	if err := b.excuses.file(f, listed, refused); err != nil {
		return err
	}
	if f.Gone {
		b.progress.totalFiles.Add(-1)
		b.progress.totalBytes.Add(-listed)
		return nil
	}
	b.progress.files.Add(1)
	b.progress.totalBytes.Add(f.Size - listed)
	f.Size = b.out.FinalSize(f, listed)
	return nil
}

// copyControlFile comes when every other file has been answered: on a standby the
// control file says where the backup is consistent (§4.8).
func (b *backup) copyControlFile(ctx context.Context) error {
	f := &b.listing.Control
	listed := f.Size
	r := b.newReceiver()
	defer r.sink.Close()
	command := grammar.SendFile{Path: f.Path, NoVerifyChecksums: b.NoVerifyChecksums}
	err := b.whileInUse(ctx, func() error {
		if err := b.leader.Ask(command.String()); err != nil {
			return err
		}
		if err := b.leader.Flush(); err != nil {
			return err
		}
		return r.receive(b.leader, f, output.ControlFileHeld)
	})
	if err != nil {
		return notReceived(f.Path, err)
	}
	return b.fileReceived(f, listed, nil)
}
