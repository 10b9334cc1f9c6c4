package datadir

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// controlName is the path of the control file in the data directory.
const controlName = "global/pg_control"

// controlData is how many bytes at its beginning are more than padding
// (PG_CONTROL_MAX_SAFE_SIZE).
const controlData = 512

// Control is what global/pg_control says: it is read anew where its status shows that it
// was written since it was last read, and once a second. A file that the server writes at
// the same moment is read again; one that stays damaged is XX001, one that cannot be read
// 58030.
func (d *Dir) Control(ctx context.Context) (controlfile.Control, error) {
	c, err := d.copiedControl(ctx)
	return c, controlError(ctx, err)
}

func controlError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isSystemError(err):
		return ioError("read file", controlName, err)
	}
	return protocol.Errorf(protocol.CodeDataCorrupted, "%v", err)
}

func isSystemError(err error) bool {
	_, system := errors.AsType[unix.Errno](err)
	return system || errors.Is(err, beneath.ErrSpecial)
}

// controlFile is global/pg_control as it was read, its checksum found right.
type controlFile struct {
	data []byte
	stat unix.Stat_t
}

// sameAs reports whether nobody has written the file, or put another in its place, since
// the other was read. A change that was taken back shows, too: no server starts without
// writing pg_control.
func (f controlFile) sameAs(other controlFile) bool {
	return beneath.IDOf(f.stat) == beneath.IDOf(other.stat) && f.stat.Ctim == other.stat.Ctim && f.stat.Mtim == other.stat.Mtim
}

// readControl reads so many bytes of the file until the checksum fits. The server
// overwrites the file in place, so a reader can meet half of it.
func (d *Dir) readControl(ctx context.Context, size int64) (controlfile.Control, controlFile, error) {
	const attempts = 10
	decode := controlfile.Decode
	if d.Untested() { // the version may have raised pg_control_version
		decode = controlfile.DecodeUntested
	}
	for attempt := 1; ; attempt++ {
		data, st, err := d.root.Read(controlName, size)
		if err != nil {
			return controlfile.Control{}, controlFile{}, err
		}
		c, err := decode(data)
		if !errors.Is(err, controlfile.ErrChecksum) || attempt == attempts {
			return c, controlFile{data, st}, err
		}
		select {
		case <-ctx.Done():
			return controlfile.Control{}, controlFile{}, context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
}

// openControl opens the control file for a backup: read whole, here and now.
func (d *Dir) openControl(ctx context.Context) (fs.File, error) {
	_, control, err := d.readControl(ctx, controlfile.Size)
	if err := controlError(ctx, err); err != nil {
		return nil, err
	}
	return &memoryFile{bytes.NewReader(control.data), fileInfo{controlName, &control.stat}}, nil
}

// memoryFile is a file that was read whole when it was opened.
type memoryFile struct {
	*bytes.Reader
	info fileInfo
}

func (f *memoryFile) Stat() (fs.FileInfo, error) { return f.info, nil }

func (f *memoryFile) Close() error { return nil }
