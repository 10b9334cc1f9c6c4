package output

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// Files and directories of a backup that the client itself writes, or treats like no
// other. Paths are those of the protocol.
const (
	ControlFile       = "global/pg_control"
	LabelFile         = "backup_label"
	TablespaceMapFile = "tablespace_map"
	AutoConfFile      = "postgresql.auto.conf"
	StandbySignalFile = "standby.signal"
	ManifestFile      = "backup_manifest"
	WALFolder         = "pg_wal"
)

// Names that files have only until the backup is complete (§5.6).
const (
	// IncompleteSuffix is behind the name of the file whose renaming makes a directory
	// a backup: of global/pg_control, or of archives.
	IncompleteSuffix = protocol.IncompleteSuffix
	ControlFileHeld  = ControlFile + IncompleteSuffix
	ManifestFileTmp  = ManifestFile + ".tmp"
	// MarkerFile is in every directory that a backup fills.
	MarkerFile = protocol.IncompleteMarker
)

// IsWAL reports whether a path is one of a file in pg_wal ([protocol.PathWAL]).
func IsWAL(path string) bool { return strings.HasPrefix(path, WALFolder+"/") }

// OnNewLine is lines as they are to be appended to a file with a content: what an editor, or
// somebody's script, wrote last may lack the end of its line.
func OnNewLine(content, lines []byte) []byte {
	if len(content) == 0 || content[len(content)-1] == '\n' {
		return lines
	}
	return append([]byte{'\n'}, lines...)
}

// VersionDirectory matches the names of the directories in a tablespace, one for each
// major version (PostgreSQL's relpath.h, TABLESPACE_VERSION_DIRECTORY).
var VersionDirectory = regexp.MustCompile(`^PG_[0-9]+_[0-9]+$`)

// SplitTablespacePath takes a path apart that is pg_tblspc/OID or lies below it: rest is
// what follows the OID, without a slash. ok is false for all other paths.
func SplitTablespacePath(path string) (oid uint32, rest string, ok bool) {
	path, ok = strings.CutPrefix(path, "pg_tblspc/")
	if !ok {
		return 0, "", false
	}
	number, rest, _ := strings.Cut(path, "/")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != number {
		return 0, "", false
	}
	return uint32(n), rest, true
}
