package datadir

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// historyLimit is an upper limit for the size of a history file, in bytes. The file has a
// line for each timeline.
const historyLimit = 1 << 20

// TimelineHistory reads the history file of a timeline. Where there is no file, as for the
// first timeline, the error is 58P01.
func (d *Dir) TimelineHistory(_ context.Context, tli protocol.Timeline) (protocol.HistoryFile, error) {
	name := protocol.HistoryFileName(tli)
	path := walDirectory + "/" + name
	wal, err := d.openWALDirectory()
	if err != nil {
		return protocol.HistoryFile{}, err
	}
	defer wal.Close()
	content, st, err := wal.Read(name, historyLimit)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EISDIR), errors.Is(err, beneath.ErrSpecial):
		return protocol.HistoryFile{}, gone(path)
	case err != nil:
		return protocol.HistoryFile{}, ioError("read file", path, err)
	case st.Size > historyLimit:
		return protocol.HistoryFile{}, protocol.Errorf(protocol.CodeDataCorrupted, `file "%s" has %d bytes, more than a timeline history can have`, path, st.Size)
	}
	return protocol.HistoryFile{Name: name, Content: content}, nil
}

// TimelineAt is the timeline that holds the byte at lsn in the history of the cluster. The
// history ends with the latest timeline in pg_control. Without a history file the cluster
// has no earlier timeline.
func (d *Dir) TimelineAt(ctx context.Context, lsn protocol.LSN) (protocol.Timeline, error) {
	c, err := d.Control(ctx)
	if err != nil {
		return 0, err
	}
	newest := max(c.Timeline, c.MinRecoveryTimeline)
	if newest == 1 {
		return newest, nil
	}
	history, err := d.TimelineHistory(ctx, newest)
	if err != nil && !isGone(err) {
		return 0, err
	}
	for a, err := range protocol.Ancestors(string(history.Content)) {
		if err == nil && lsn < a.End { // a line that says nothing is passed over
			return a.Timeline, nil
		}
	}
	return newest, nil
}
