package datadir

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// historyLimit is more than a history file will ever have, in bytes: it is a line
// a timeline.
const historyLimit = 1 << 20

// TimelineHistory reads the history file of a timeline; 58P01 where there is
// none, as for the first.
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

// TimelineAt is the timeline that holds the byte at lsn in the history of the
// cluster: of the timeline that pg_control names last and of those before it. A
// history file that is missing means that there were none before.
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
