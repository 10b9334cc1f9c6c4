package datadir

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

// controlCopy is what pg_control said when it was last read, for the commands that come once
// a file: to open, read and decode it for each costs more than to send a small file.
//
// What they learn from it may be older than the moment: by lookInterval where a file is
// opened, else by nothing where the file's status shows each change; by copyAge where it does
// not, as on a network file system. No check of §4.1 depends on that. The start and the stop of a backup, and a directory that is taken
// for another, read the file itself. Where a stopped cluster is started meanwhile, the files
// of that moment are opened by the rules of a cluster that stands still, and the stop finds
// pg_control changed: no backup comes of it. Where checksums are switched off, a page that is
// not whole makes the reader look at the file itself; where they are switched on, a few files
// are not verified, as those before. A standby's promotion is found at the next check,
// copyAge later at most, and by the stop.
type controlCopy struct {
	control controlfile.Control
	stat    unix.Stat_t
	read    time.Time // before it was read
}

// lookInterval is how long a file is opened by the copy without a look at the status of
// pg_control, which for a small file takes a tenth of its time.
const lookInterval = 10 * time.Millisecond

// recentControl is [Dir.Control] as it was lookInterval ago at the most.
func (d *Dir) recentControl(ctx context.Context) (controlfile.Control, error) {
	now := time.Now().UnixNano()
	looked := d.controlLooked.Load()
	if c := d.control.Load(); c != nil && looked <= now && now-looked < int64(lookInterval) {
		return c.control, nil
	}
	c, err := d.Control(ctx)
	if err == nil {
		d.controlLooked.Store(now)
	}
	return c, err
}

// copyAge is how old a copy may become.
const copyAge = time.Second

// current reports whether the file with the status st is still the one that was copied. The
// status shows a change only where the last one lay more than a tick of the file system's
// clock before the reading.
func (c *controlCopy) current(st unix.Stat_t, now time.Time) bool {
	seconds, nanoseconds := st.Ctim.Unix()
	return c != nil && now.Sub(c.read) < copyAge && controlFile{stat: c.stat}.sameAs(controlFile{stat: st}) &&
		c.read.Sub(time.Unix(seconds, nanoseconds)) > cacheAge
}

// copiedControl is pg_control as it is now, from the copy where that is current. The error is
// that of readControl.
func (d *Dir) copiedControl(ctx context.Context) (controlfile.Control, error) {
	now := time.Now()
	if st, err := d.root.Lstat(controlName); err == nil {
		if c := d.control.Load(); c.current(st, now) {
			return c.control, nil
		}
	}
	c, file, err := d.readControl(ctx, controlData)
	if err == nil {
		d.control.Store(&controlCopy{control: c, stat: file.stat, read: now})
	}
	return c, err
}
