package datadir

import (
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

// CheckName judges the path of a file by its names alone, before anybody looks at the
// disk, in a cluster of PostgreSQL's major version with the control file c. It is 22023
// for a path against the rules, and 42501 for one that no listing of such a cluster
// shows (§4.5, §4.7).
func CheckName(name string, major int, c controlfile.Control) error {
	if err := protocol.CheckPath(name); err != nil {
		return err
	}
	if within, found := strings.CutPrefix(name, walDirectory+"/"); found {
		return newRules(major, c).checkWALName(within, c)
	}
	return (&resolvedPath{}).judge(newRules(major, c), name)
}

// checkWALName is [CheckName] in pg_wal: segments, history files and the directories.
func (r rules) checkWALName(name string, c controlfile.Control) error {
	_, _, isSegment := protocol.ParseWALFileName(name, int64(c.WALSegmentSize))
	if !isSegment && !protocol.IsHistoryFileName(name) && !slices.Contains(r.walDirectories(), name) {
		return notPart(walDirectory + "/" + name)
	}
	return nil
}
