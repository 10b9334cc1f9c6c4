package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

const controlFile = "global/pg_control"

// archive is a cluster in a ZIP archive, or any other fs.FS: the data directory of a
// stopped server without tablespaces. It is a walsender.Cluster and a
// walsender.WALLister. Nothing in it changes, so it is all found out at the start, and
// a backup needs no state.
type archive struct {
	files   fs.FS
	control controlfile.Control
	major   int
	rows    []protocol.File              // what LIST_FILES shows
	wal     []protocol.File              // what LIST_WAL_FILES shows
	types   map[string]protocol.FileType // of both, by path
}

// openArchive looks through the archive, which the caller keeps open.
func openArchive(files fs.FS) (*archive, error) {
	a := &archive{files: files, types: make(map[string]protocol.FileType)}
	control, err := fs.ReadFile(files, controlFile)
	if err != nil {
		return nil, fmt.Errorf("no data directory: %w", err)
	}
	if a.control, err = controlfile.Decode(control); err != nil {
		return nil, err
	}
	if a.control.State != controlfile.StateShutDown {
		return nil, fmt.Errorf(`the server was not stopped when the archive was made: its state is "%v"`, a.control.State)
	}
	version, err := fs.ReadFile(files, "PG_VERSION")
	if err != nil {
		return nil, err
	}
	if a.major, err = strconv.Atoi(strings.TrimSpace(string(version))); err != nil {
		return nil, fmt.Errorf("PG_VERSION: %w", err)
	}
	if err := fs.WalkDir(files, ".", a.add); err != nil {
		return nil, err
	}
	// The control file comes last: whoever has it has all the rest (§4.5).
	slices.SortStableFunc(a.rows, func(x, y protocol.File) int { return isControl(x) - isControl(y) })
	slices.SortStableFunc(a.wal, func(x, y protocol.File) int { return cmp.Compare(a.position(x), a.position(y)) })
	return a, a.checkWAL()
}

func isControl(f protocol.File) int {
	if f.Path == controlFile {
		return 1
	}
	return 0
}

// add sorts out what a name in the archive is: part of the backup, WAL, or neither.
func (a *archive) add(name string, entry fs.DirEntry, err error) error {
	if err != nil || name == "." {
		return err
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	row := protocol.File{Path: name, Type: protocol.TypeFile, Size: info.Size(), ModTime: info.ModTime()}
	switch {
	case entry.IsDir():
		row.Type, row.Size = protocol.TypeDirectory, 0
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file: an archive with links cannot be served", name)
	}
	switch in := path.Dir(name); {
	case in == "pg_tblspc":
		return fmt.Errorf("%s: an archive with tablespaces cannot be served", name)
	case in == "pg_wal" && !entry.IsDir():
		if !a.isNeeded(row) {
			return nil
		}
		a.wal = append(a.wal, row)
	case !leftOut(name):
		a.rows = append(a.rows, row)
	case entry.IsDir():
		return fs.SkipDir
	default:
		return nil
	}
	a.types[name] = row.Type
	return nil
}

// temporaryRelation is the name of a file of a temporary table, whose session is over.
var temporaryRelation = regexp.MustCompile(`^base/[0-9]+/t[0-9]+_[0-9]+(_[a-z]+)?(\.[0-9]+)?$`)

// leftOut reports whether a base backup has no use for what is here: the server makes it
// anew. PostgreSQL's own list is in its backup/basebackup.c.
func leftOut(name string) bool {
	switch path.Dir(name) {
	case "pg_wal/archive_status", "pg_wal/summaries",
		"pg_dynshmem", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans":
		return true
	}
	switch base := path.Base(name); base {
	case "postmaster.pid", "postmaster.opts", "backup_label", "tablespace_map", "backup_manifest",
		"postgresql.auto.conf.tmp", "current_logfiles.tmp", ".DS_Store":
		return true
	default:
		return strings.HasPrefix(base, "pgsql_tmp") || strings.HasPrefix(base, "pg_internal.init") ||
			temporaryRelation.MatchString(name)
	}
}
