package client

import (
	"fmt"
	"sync"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
)

// excuses are the files that are missing, or not as long as they were listed. Whether
// WAL replay makes up for them is known when the backup has its label (§5.2).
type excuses struct {
	mu       sync.Mutex
	vanished int64
	first    string // what the first of them is, for the message
	foreign  foreignExcuses
	// databases are those of which a file has vanished or shrunk.
	databases map[walrecord.DatabaseDirectory]bool
}

// foreignExcuses are those of files that are not the cluster's.
type foreignExcuses struct {
	files int64
	first string
}

// file judges what SEND_FILE of f came to: as listed, excused for now, or the error.
func (e *excuses) file(f *output.File, listed int64, refused *protocol.Error) error {
	if refused == nil && f.Size == listed {
		return nil
	}
	kind := protocol.KindOfPath(f.Path)
	if refused != nil || f.Size < listed {
		e.lacks(f.Path)
	}
	switch {
	case refused != nil && (refused.Code != protocol.CodeUndefinedFile || kind == protocol.PathPermanent || kind == protocol.PathWAL):
		return fmt.Errorf("could not receive file %q: %w", f.Path, refused)
	case refused != nil:
		f.Gone = true
		e.add(kind, fmt.Sprintf("file %q has vanished", f.Path))
		e.mu.Lock()
		e.vanished++
		e.mu.Unlock()
	default:
		e.add(kind, changed(f.Path, f.Size, listed))
	}
	return nil
}

// lacks notes the database that a file, or a part of it, is missing of.
func (e *excuses) lacks(path string) {
	d, _, ok := splitDatabasePath(path)
	if !ok {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.databases == nil {
		e.databases = map[walrecord.DatabaseDirectory]bool{}
	}
	e.databases[d] = true
}

func changed(path string, size, listed int64) string {
	how := "grown"
	if size < listed {
		how = "shrunk"
	}
	return fmt.Sprintf("file %q has %s from %d bytes to %d", path, how, listed, size)
}

func (e *excuses) add(kind protocol.PathKind, what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	first := &e.first
	if kind == protocol.PathForeign {
		e.foreign.files++
		first = &e.foreign.first
	}
	if *first == "" {
		*first = what
	}
}

// judge says whether the excuses hold, and tells of the files that need none, in a
// cluster where nothing should change. Replayed says whether the WAL of the backup has all
// that a server did while the files were copied.
func (e *excuses) judge(replayed bool, tell func(level EventLevel, format string, args ...any)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if replayed {
		return nil
	}
	if e.first != "" {
		return fmt.Errorf("%s, and there is no recovery that could make up for it", e.first)
	}
	if e.foreign.files > 0 {
		tell(LevelWarning, "files that are not PostgreSQL's have changed during the backup: %d (%s)", e.foreign.files, e.foreign.first)
	}
	return nil
}
