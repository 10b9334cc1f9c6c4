package backupdir

import (
	"bytes"
	"context"
	"errors"
	"io/fs"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// heldAtStart are the files whose checksums are compared when a backup starts: without them
// nothing else is what it seems.
var heldAtStart = []string{labelFile, "tablespace_map", "PG_VERSION", controlFile}

// StartBackup begins a backup of the backup, as it lies there: its own label, its own
// positions, whatever label was asked for. It is 55000 where the backup was started or is
// another by now, XX001 where its files are not those of the manifest, by names and
// sizes, and 55006 where it is being refreshed.
func (b *Backup) StartBackup(ctx context.Context, r protocol.BackupRequest) (_ protocol.StartPoint, _ protocol.RunningBackup, err error) {
	shared, err := b.share()
	if err != nil {
		return protocol.StartPoint{}, nil, err
	}
	running := &runningBackup{backup: b, shared: shared}
	defer func() {
		if err != nil {
			running.Abort()
		}
	}()
	control, err := b.check(ctx)
	if err != nil {
		return protocol.StartPoint{}, nil, err
	}
	if err := b.warnOfWAL(ctx, r.Notice); err != nil {
		return protocol.StartPoint{}, nil, err
	}
	c, err := b.Control(ctx)
	if err != nil {
		return protocol.StartPoint{}, nil, err
	}
	c.WarnUnverified(r.Notice)
	stop := b.contents.stop
	running.control = control
	return protocol.StartPoint{StartPtr: stop.StartPtr, Timeline: stop.Timeline, Label: stop.Label}, running, nil
}

// CheckBackup returns the error that StartBackup would return now.
func (b *Backup) CheckBackup(ctx context.Context) error {
	_, err := b.check(ctx)
	return err
}

// check holds the backup against its manifest, and returns its pg_control.
func (b *Backup) check(ctx context.Context) ([]byte, error) {
	control, err := b.checkSame()
	if err != nil {
		return nil, err
	}
	for _, name := range heldAtStart {
		if err := b.verifyNow(ctx, name); err != nil {
			return nil, err
		}
	}
	return control, b.holdAll(ctx)
}

// checkSame makes sure that the backup is the one that was opened, and that no server was
// started on it. It returns its pg_control.
func (b *Backup) checkSame() ([]byte, error) {
	if err := b.CheckPath(); err != nil {
		return nil, err
	}
	switch sign, err := started(b.Dir); {
	case err != nil:
		return nil, ioError(err)
	case sign != "":
		return nil, changed(`a server was started on it, for there is "%s" in it`, sign)
	}
	label, err := b.ReadFile(labelFile)
	if errors.Is(err, fs.ErrNotExist) {
		label, err = nil, nil
	}
	switch {
	case err != nil:
		return nil, ioError(err)
	case string(label) != b.contents.stop.Label:
		return nil, changed(`"%s" is another`, labelFile)
	}
	control, err := b.ReadFile(controlFile)
	return control, ioError(err)
}

// verifyNow compares the checksum of a file of the manifest.
func (b *Backup) verifyNow(ctx context.Context, name string) error {
	i, listed := b.contents.find(name)
	if !listed {
		return nil
	}
	f, err := b.OpenFile(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return missing(name)
		}
		return ioError(err)
	}
	defer f.Close()
	held := &heldFile{File: f, name: name, content: f}
	return held.verify(ctx, b.contents.files[i])
}

// runningBackup is a backup of the backup.
type runningBackup struct {
	backup  *Backup
	control []byte // at the start
	shared  datadir.ContentFile
}

// Stop tells where the backup ends. It fails with 55000 where the backup is not what it was
// at the start. There is no archiving to wait for.
func (r *runningBackup) Stop(context.Context, bool, protocol.NoticeFunc) (protocol.BackupStop, error) {
	defer r.Abort()
	control, err := r.backup.checkSame()
	if err == nil && !bytes.Equal(control, r.control) {
		err = changed(`"%s" is another`, controlFile)
	}
	if err != nil {
		return protocol.BackupStop{}, err
	}
	return r.backup.contents.stop, nil
}

// Abort lets the backup be refreshed again.
func (r *runningBackup) Abort() {
	if r.shared != nil {
		_ = r.shared.Close() // it was only read
		r.shared = nil
	}
}

// Lost is nil: no server runs that could end the backup.
func (r *runningBackup) Lost() <-chan *protocol.BackupLostError { return nil }
