package datadir

import (
	"context"
	"os"
	"sync"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/archive"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// succession is what the directories share that were opened under one path, one after the
// other.
type succession struct {
	mu            sync.Mutex
	first, latest *Dir
}

// Reopen is the directory that the path of d leads to now: the one that was opened
// last, or, where another has taken its place, that one, opened. Each call is for one
// user, who calls release when no method of the result runs or will be called. A
// directory that was replaced is closed with its last user; the first, which the
// caller of [OpenDir] has, with [Dir.Close].
//
// The error is 57P03: the path leads to nothing that [OpenDir] accepts.
func (d *Dir) Reopen() (now *Dir, release func(), err error) {
	s := d.succession
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.latest.current() {
		next, err := open(s.first.path, s.first.options, s.first.open)
		if err != nil {
			return nil, nil, protocol.Errorf(protocol.CodeCannotConnectNow, "the data directory was replaced: %v", err)
		}
		next.RecoveryOnRestore, next.succession = s.first.RecoveryOnRestore, s
		if s.latest != s.first {
			s.latest.leave()
		}
		s.latest = next
	}
	now = s.latest
	now.users++
	return now, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		now.leave()
	}), nil
}

// leave takes a user away, and closes the directory after the last. The caller holds the
// succession's lock.
func (d *Dir) leave() {
	if d.users--; d.users == 0 {
		_ = d.close() // it was only read
	}
}

// Close releases the directory, and the one that has taken its place. Files that are
// open stay readable. No other method may be called any more: end the server before.
func (d *Dir) Close() error {
	s := d.succession
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latest != d {
		s.latest.leave()
	}
	return d.close()
}

func (d *Dir) close() error {
	d.listed.close()
	return d.root.Close()
}

// current reports whether the path still leads to the directory, and the same cluster is
// in it: a mount point may be emptied and filled again. A pg_control that cannot be read
// now says nothing; whoever needs it gets the error. Archives that were written to are
// others.
func (d *Dir) current() bool {
	if same, err := d.samePath(); err != nil || !same {
		return false
	}
	if a, inArchives := d.root.(*archive.Root); inArchives {
		if same, err := a.Unchanged(); err != nil || !same {
			return false
		}
	}
	c, _, err := d.readControl(context.Background(), controlData)
	return err != nil || c.SystemID == d.systemID
}

// CheckPath is 55000 where the path under which the directory was opened leads to it no
// more: the cluster that a backup was asked of is another now.
func (d *Dir) CheckPath() error {
	if same, err := d.samePath(); err != nil || !same {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the data directory %q was replaced", d.path).
			WithHint("A backup that began before should not be used. Take another backup.")
	}
	return nil
}

// samePath reports whether the path leads to the directory. The error says that it
// leads nowhere, or cannot be followed.
func (d *Dir) samePath() (bool, error) {
	now, err := beneath.Stat(d.path)
	if err != nil {
		return false, &os.PathError{Op: "stat", Path: d.path, Err: err}
	}
	held, err := d.root.Lstat(".")
	return err == nil && beneath.IDOf(held) == beneath.IDOf(now), err
}
