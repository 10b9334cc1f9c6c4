package backupdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// The files that make a directory a backup, or show that it is none any more.
const (
	manifestFile = "backup_manifest"
	labelFile    = "backup_label"
	controlFile  = "global/pg_control"
)

// OrdinaryError says that there is a data directory that is no finished backup:
// [datadir.Open] opens it.
type OrdinaryError struct {
	// Reason says why a directory with a backup_manifest is none; empty where it has none.
	Reason string
}

func (e *OrdinaryError) Error() string {
	if e.Reason == "" {
		return "the data directory is no backup: it has no backup_manifest"
	}
	return "the data directory is no finished backup: " + e.Reason
}

// find looks at what lies under a path, and tells how it is to be opened. What PostgreSQL
// could not start on, because it is not finished, is an error.
func find(path string) (open func(string, datadir.DirOptions) (*datadir.Dir, error), err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return datadir.OpenDir, nil // which says it better
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	for _, name := range names {
		held, isHeld := strings.CutSuffix(name, protocol.IncompleteSuffix)
		_, isArchive := protocol.ParseArchiveName(held)
		if name == protocol.IncompleteMarker || isHeld && isArchive {
			return nil, unfinished(path, name)
		}
	}
	held := controlFile + protocol.IncompleteSuffix
	if _, err := os.Lstat(filepath.Join(path, held)); err == nil {
		return nil, unfinished(path, held)
	}
	if tmp := manifestFile + ".tmp"; slices.Contains(names, tmp) && !slices.Contains(names, manifestFile) {
		return nil, unfinished(path, tmp)
	}
	if !slices.Contains(names, "PG_VERSION") && slices.ContainsFunc(names, isBaseArchive) {
		return datadir.OpenArchives, nil
	}
	return datadir.OpenDir, nil
}

func isBaseArchive(name string) bool {
	a, ok := protocol.ParseArchiveName(name)
	return ok && a.Tablespace == 0 && !a.WAL
}

func unfinished(path, name string) error {
	return fmt.Errorf("directory %q holds an unfinished backup: there is %q in it", path, name)
}

// isThere reports whether there is a file of the name.
func isThere(dir *datadir.Dir, name string) (bool, error) {
	f, err := dir.OpenFile(name)
	if err == nil {
		return true, f.Close()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return false, err
}

// started tells by what a server shows that it was started on the directory; empty: none
// was.
func started(dir *datadir.Dir) (string, error) {
	for _, name := range []string{"postmaster.pid", "postmaster.opts"} {
		if there, err := isThere(dir, name); there || err != nil {
			return name, err
		}
	}
	return "", nil
}
