package datadir

// maxSeen bounds how many names of a directory are remembered while it is listed. With
// more of them, a name that readdir tells twice may be listed twice.
const maxSeen = 1 << 20

// seenNames are the names of a directory that a listing has come to. While entries are
// made and renamed, readdir may tell a name twice, or miss it.
type seenNames map[string]struct{}

// add remembers a name, and reports whether it is new.
func (s seenNames) add(name string) bool {
	if _, seen := s[name]; seen {
		return false
	}
	if len(s) < maxSeen {
		s[name] = struct{}{}
	}
	return true
}

// expectedNames are what PostgreSQL has in a directory under a fixed name: the files
// that are permanent (protocol.PathPermanent) and the directories of initdb. Which
// of them there are depends on the version and on the cluster.
func expectedNames(in place, path string) []string {
	switch {
	case in == inDataDirectory:
		return []string{
			"PG_VERSION", "postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf", "standby.signal", "recovery.signal",
			"base", "global", "pg_commit_ts", "pg_dynshmem", "pg_logical", "pg_multixact", "pg_notify", "pg_replslot", "pg_serial",
			"pg_snapshots", "pg_stat", "pg_stat_tmp", "pg_subtrans", "pg_tblspc", "pg_twophase", "pg_wal", "pg_xact",
		}
	case in == inGlobal:
		return []string{"pg_filenode.map"}
	case in == inDatabase:
		return []string{"PG_VERSION", "pg_filenode.map"}
	case path == "pg_logical":
		return []string{"replorigin_checkpoint", "mappings", "snapshots"}
	case path == "pg_multixact":
		return []string{"members", "offsets"}
	}
	return nil
}
