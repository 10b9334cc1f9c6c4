package clientkit

import (
	"context"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// appearance is something that happened to a name of the target while it was watched.
type appearance struct {
	path  string // as in the backup
	whole bool   // it was renamed to its name, or closed by who wrote it; else it was made
}

// watchedCluster begins to watch the target when STOP_BACKUP is asked for: what decides
// whether PostgreSQL can start comes after it.
type watchedCluster struct {
	*walsendertest.Cluster
	arm func() error
}

// StartBackup is the Cluster's, with a backup before whose Stop the watch begins.
func (c watchedCluster) StartBackup(ctx context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	start, b, err := c.Cluster.StartBackup(ctx, r)
	return start, beforeStop{b, c.arm}, err
}

// controlReleased is when pg_control got its name; -1: that was not seen.
func (e *evidence) controlReleased() int {
	return slices.IndexFunc(e.appeared, func(a appearance) bool { return a.path == controlFile })
}

// completed is when a path was whole at last; -1: that was not seen.
func (e *evidence) completed(path string) int {
	last := -1
	for i, a := range e.appeared {
		if a.path == path && a.whole {
			last = i
		}
	}
	return last
}

// watched reports whether the directory of the target was there to be watched. A client
// that fills another, and renames that as a whole, has no order to be judged.
func (e *evidence) watched() bool { return len(e.appeared) > 0 }

// releasedLast: pg_control gets its name when the label and the WAL are there.
func releasedLast(e *evidence) *rule.Finding {
	const expected = "pg_control gets its name when backup_label and all WAL are complete"
	if !e.watched() {
		return nil
	}
	released := e.controlReleased()
	if released < 0 {
		return rule.Found(expected, "it never got it after STOP_BACKUP")
	}
	names, err := e.needed()
	if err != nil {
		return rule.Found(expected, "%v", err)
	}
	for _, path := range append(names, "backup_label") {
		if at := e.completed(path); at > released {
			return rule.Found(expected, "%q was complete only after that", path)
		}
	}
	return nil
}

// manifestLast: the manifest gets its name after pg_control.
func manifestLast(e *evidence) *rule.Finding {
	const expected = "backup_manifest gets its name after pg_control"
	if !e.watched() {
		return nil
	}
	manifest := slices.IndexFunc(e.appeared, func(a appearance) bool { return a.path == "backup_manifest" })
	if manifest >= 0 && manifest < e.controlReleased() {
		return rule.Found(expected, "it had it before")
	}
	return nil
}

// startsWhole: what PostgreSQL would start from is whole, the manifest excepted.
func startsWhole(e *evidence) *rule.Finding {
	if cannotStart(e) == nil {
		return nil
	}
	w := wholeCheck{evidence: e, expected: map[string]bool{}}
	for _, step := range []func() *rule.Finding{w.files, w.tablespaces, w.wal, w.label} {
		if f := step(); f != nil {
			f.Expected = "what has a global/pg_control is whole: PostgreSQL starts from it"
			return f
		}
	}
	return nil
}

// watchedFolders are the directories of the target that a watch looks at.
func watchedFolders() []string { return []string{"", "global", "pg_wal"} }

// watchedPath is the path in the backup of a name in a watched folder.
func watchedPath(folder, name string) string { return strings.TrimPrefix(folder+"/"+name, "/") }
