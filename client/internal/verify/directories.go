package verify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// emptyDirectories are those that are empty in most backups, so that no file of a manifest shows
// that they are missing, and without which a server does not start, or ends with its first
// checkpoint. Servers of 13 to 19 were started from backups that lacked one directory each
// (TestRun_NeededDirectories_Long). They do without pg_dynshmem, pg_serial, pg_snapshots and, from
// 15 on, pg_stat and pg_stat_tmp, and make pg_wal/archive_status and pg_wal/summaries themselves.
var emptyDirectories = []struct {
	path   string
	before int // the first major version that does without it; 0: none does
}{
	{"pg_commit_ts", 0},
	{"pg_logical/mappings", 0},
	{"pg_logical/snapshots", 0},
	{"pg_notify", 0},
	{"pg_replslot", 0},
	{"pg_stat", 15},
	{"pg_stat_tmp", 15},
	{"pg_subtrans", 0},
	{"pg_tblspc", 0},
	{"pg_twophase", 0},
}

// neededDirectories are those of a major version.
func neededDirectories(major int) (paths []string) {
	for _, d := range emptyDirectories {
		if d.before == 0 || major < d.before {
			paths = append(paths, d.path)
		}
	}
	return paths
}

// checkDirectories makes sure that a data directory has the directories that no manifest lists.
func (v *verification) checkDirectories(context.Context) error {
	content, found := v.files.kept["PG_VERSION"]
	major, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if v.layout.format == Tar || !found || err != nil {
		return nil // ignored, or a problem already
	}
	for _, path := range neededDirectories(major) {
		info, err := os.Stat(filepath.Join(v.dir, path))
		if v.ignored(path) || err == nil && info.IsDir() || err != nil && !os.IsNotExist(err) {
			continue // what is there and cannot be read, or is a file, has been told
		}
		v.problem(Problem{
			Kind: Missing, Path: path, Message: fmt.Sprintf("directory %q is missing, and PostgreSQL %d does not start without it", path, major),
			Hint: fmt.Sprintf("Make it, as the user who runs PostgreSQL: mkdir -m 0700 '%s'", strings.ReplaceAll(filepath.Join(v.dir, path), "'", `'\''`)),
		})
	}
	return nil
}
