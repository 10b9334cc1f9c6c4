package verify

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

// Format is what a backup was written as.
type Format int

const (
	// Any is the default: a directory with PG_VERSION, or without archives, is a data
	// directory.
	Any Format = iota
	// Plain is a data directory.
	Plain
	// Tar is archives.
	Tar
)

// layout is what a directory holds.
type layout struct {
	format   Format
	archives []archive
	others   []string // in tar format: what is in the directory besides, but for the manifest
}

// archive is a tar file of a backup.
type archive struct {
	name       string
	tablespace string // the OID; empty: of the data directory
	wal        bool   // it holds what is streamed into pg_wal, and no more
	size       int64
}

// parseArchive is the archive with a name, if it can be one of a backup.
func parseArchive(name string) (archive, bool) {
	parsed, ok := protocol.ParseArchiveName(name)
	a := archive{name: name, wal: parsed.WAL}
	if parsed.Tablespace != 0 {
		a.tablespace = strconv.FormatUint(uint64(parsed.Tablespace), 10)
	}
	return a, ok
}

// prefix is what the paths of the backup have ahead of the names in the archive.
func (a archive) prefix() string {
	if a.tablespace == "" {
		return ""
	}
	return "pg_tblspc/" + a.tablespace + "/"
}

// findLayout looks at a directory. A backup that is not finished is an error, as is one in
// another format than was asked for.
func findLayout(dir string, format Format) (layout, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // that there is no manifest tells the same
		return layout{}, fmt.Errorf("could not open directory %q: %w", dir, output.Cause(err))
	}
	l := layout{format: Plain}
	plain := false
	for _, entry := range entries {
		name := entry.Name()
		held, isHeld := strings.CutSuffix(name, output.IncompleteSuffix)
		if _, isArchive := parseArchive(held); name == output.MarkerFile || isHeld && isArchive {
			return layout{}, unfinished(dir, name)
		}
		a, isArchive := parseArchive(name)
		info, err := os.Stat(filepath.Join(dir, name))
		switch regular := err == nil && info.Mode().IsRegular(); {
		case isArchive && regular:
			a.size = info.Size()
			l.archives = append(l.archives, a)
		case name != output.ManifestFile:
			plain = plain || name == "PG_VERSION"
			l.others = append(l.others, name)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, output.ControlFileHeld)); err == nil {
		return layout{}, unfinished(dir, output.ControlFileHeld)
	}
	hasBase := slices.ContainsFunc(l.archives, func(a archive) bool { return a.prefix() == "" && !a.wal })
	switch {
	case format == Plain && hasBase && !plain:
		return layout{}, fmt.Errorf("directory %q holds no backup in plain format, but one in tar format", dir)
	case format == Tar && len(l.archives) == 0 && len(l.others) > 0:
		return layout{}, fmt.Errorf("directory %q holds no backup in tar format", dir)
	case format == Tar, format == Any && !plain && len(l.archives) > 0:
		l.format = Tar
	}
	return l, nil
}

// unfinished is the error for a backup that was killed, or is being taken.
func unfinished(dir, name string) error {
	return fmt.Errorf("directory %q holds an unfinished backup: there is %q in it", dir, name)
}
