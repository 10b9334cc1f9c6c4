package datadir

import (
	"context"
	"errors"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"golang.org/x/sys/unix"
)

// controlName is the path of the control file in the data directory.
const controlName = "global/pg_control"

// Control reads global/pg_control. A file that the server writes at the same
// moment is read again; one that stays damaged is XX001, one that cannot be read
// 58030.
func (d *Dir) Control(ctx context.Context) (Control, error) {
	c, _, err := d.readControl(ctx)
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
	var errno unix.Errno
	return errors.As(err, &errno) || errors.Is(err, errSpecial)
}

// controlFile is global/pg_control as it was read, its checksum found right.
type controlFile struct {
	data []byte
	stat unix.Stat_t
}

// readControl reads until the checksum fits. The server overwrites the file in
// place, so a reader can meet half of it.
func (d *Dir) readControl(ctx context.Context) (Control, controlFile, error) {
	const attempts = 10
	for attempt := 1; ; attempt++ {
		data, st, err := d.root.read(controlName, controlSize)
		if err != nil {
			return Control{}, controlFile{}, err
		}
		c, err := DecodeControl(data)
		if !errors.Is(err, errControlChecksum) || attempt == attempts {
			return c, controlFile{data, st}, err
		}
		select {
		case <-ctx.Done():
			return Control{}, controlFile{}, context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
}
