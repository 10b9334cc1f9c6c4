package client

import (
	"fmt"
	"strings"
	"sync"

	"github.com/pgparallel/pgparallel/protocol"
)

// excuses are the files that are missing or short. Whether WAL replay makes up for
// them is known when the backup has its label (§5.2).
type excuses struct {
	mu       sync.Mutex
	vanished int64
	first    string // what the first of them is, for the message
}

// file judges what SEND_FILE of f came to: whole, excused for now, or the error.
func (e *excuses) file(f *file, listed int64, refused *protocol.Error) error {
	switch {
	case refused != nil && (refused.Code != protocol.CodeUndefinedFile || indispensable(f.path)):
		return fmt.Errorf("could not receive file %q: %w", f.path, refused)
	case refused != nil:
		f.gone = true
		e.add(fmt.Sprintf("file %q has vanished", f.path))
		e.mu.Lock()
		e.vanished++
		e.mu.Unlock()
	case f.size < listed && indispensable(f.path):
		return fmt.Errorf("file %q is too short: %d bytes of %d", f.path, f.size, listed)
	case f.size < listed:
		e.add(fmt.Sprintf("file %q is too short: %d bytes of %d", f.path, f.size, listed))
	}
	return nil
}

func (e *excuses) add(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.first == "" {
		e.first = what
	}
}

// judge says whether the excuses hold.
func (e *excuses) judge(label string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.first == "" || label != "" {
		return nil
	}
	return fmt.Errorf("%s, and there is no recovery that could make up for it", e.first)
}

// indispensable reports whether there is no cluster without the file.
func indispensable(path string) bool {
	switch path {
	case "PG_VERSION", controlFile, "global/pg_filenode.map":
		return true
	}
	return strings.HasPrefix(path, "pg_wal/")
}
