package protocol

// emptyDirectories are those of a data directory that are empty in most clusters, and without which
// a server does not start, or ends with its first checkpoint. Servers of 13 to 19 were started
// from backups that lacked one directory each (TestRun_NeededDirectories_Long of
// client/internal/verify). They do without pg_dynshmem, pg_serial, pg_snapshots and, from 15 on,
// pg_stat and pg_stat_tmp, and make pg_wal/archive_status and pg_wal/summaries themselves.
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

// EmptyDirectories are those of a data directory of the major version that hold no file in most
// clusters, so that no list of files shows that they are missing, and without which PostgreSQL
// does not start.
func EmptyDirectories(major int) (paths []string) {
	for _, d := range emptyDirectories {
		if d.before == 0 || major < d.before {
			paths = append(paths, d.path)
		}
	}
	return paths
}

// NeededDirectories are all of a data directory of the major version without which PostgreSQL
// does not start: [EmptyDirectories], and those that hold files in every cluster.
func NeededDirectories(major int) []string {
	withFiles := []string{"base", "global", "pg_multixact/members", "pg_multixact/offsets", "pg_wal", "pg_xact"}
	return append(withFiles, EmptyDirectories(major)...)
}
