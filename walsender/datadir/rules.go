package datadir

import (
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

// place is a kind of directory in a data directory: where a name lies decides
// what it means.
type place int

const (
	elsewhere        place = iota
	inDataDirectory        // the data directory itself
	inGlobal               // global
	inBase                 // base
	inDatabase             // base/DBOID, and the same in a tablespace
	inTablespaceList       // pg_tblspc
	inTablespace           // pg_tblspc/OID
	inVersion              // pg_tblspc/OID/PG_MAJOR_CATVERSION
	inWAL                  // pg_wal
	inOwn                  // pg_xact and others that hold nothing but the cluster's own
)

// own reports whether everything in the directory is a part of the cluster that
// it cannot do without.
func (p place) own() bool {
	switch p {
	case inGlobal, inBase, inDatabase, inVersion, inOwn:
		return true
	}
	return false
}

// verdict is what becomes of a name in a base backup.
type verdict int

const (
	leaveOut  verdict = iota
	skip              // it is left out with a warning
	keep              // it is part of the backup, and what it holds if it is a directory
	keepEmpty         // it is; if a directory (or a link in the place of one), without its content
)

// rules are what a base backup leaves out by name, in one cluster (the lists of
// PostgreSQL's backup/basebackup.c). The listing and the opening of files both
// go by [rules.judge], so they cannot differ. What needs a look at the disk
// comes on top: init forks, and tablespaces inside the data directory.
type rules struct {
	major   int   // PostgreSQL's major version
	catalog int64 // and that of its catalog
}

func newRules(major int, c controlfile.Control) rules {
	return rules{major: major, catalog: int64(c.CatalogVersion)}
}

// version is the name of the cluster's directory in a tablespace: PG_15_202209061.
func (r rules) version() string {
	return "PG_" + strconv.Itoa(r.major) + "_" + strconv.FormatInt(r.catalog, 10)
}

// judge says what becomes of a name in a directory, and what kind of directory
// it is, if it is one.
func (r rules) judge(in place, name string) (verdict, place) {
	switch {
	case in == inDatabase && name != "" && '0' <= name[0] && name[0] <= '9':
		return keep, elsewhere // the many; no name below begins so
	case in == inWAL:
		return r.judgeWAL(name), elsewhere
	case excludedName(name):
		return leaveOut, elsewhere
	case fileSystemName(name):
		return skip, elsewhere
	case emptiedName(name):
		return keepEmpty, elsewhere
	}
	switch in {
	case inDataDirectory:
		return judgeTop(name)
	case inBase, inVersion:
		if _, valid := protocol.ParseOID(name); valid {
			return keep, inDatabase
		}
	case inDatabase:
		if protocol.IsTemporaryRelation(name) {
			return leaveOut, elsewhere
		}
	case inTablespaceList:
		if _, valid := protocol.ParseOID(name); valid {
			return keep, inTablespace
		}
	case inTablespace:
		if name != r.version() {
			return leaveOut, elsewhere // another cluster's, after pg_upgrade --link for example
		}
		return keep, inVersion
	case inOwn:
		return keep, inOwn
	}
	return keep, elsewhere
}

func judgeTop(name string) (verdict, place) {
	switch name {
	case "base":
		return keep, inBase
	case "global":
		return keep, inGlobal
	case "pg_tblspc":
		return keep, inTablespaceList
	case "pg_wal":
		return keepEmpty, inWAL
	case "pg_commit_ts", "pg_logical", "pg_multixact", "pg_twophase", "pg_xact":
		return keep, inOwn
	}
	return keep, elsewhere
}

// judgeWAL decides about pg_wal, of which LIST_FILES shows only the directories;
// segments and history files are LIST_WAL_FILES's (§4.7).
func (r rules) judgeWAL(name string) verdict {
	for _, directory := range r.walDirectories() {
		if name == directory {
			return keepEmpty
		}
	}
	return leaveOut
}

// walDirectories are the directories in pg_wal that a server wants to find.
func (r rules) walDirectories() []string {
	if r.major >= 17 {
		return []string{"archive_status", "summaries"}
	}
	return []string{"archive_status"}
}

func excludedName(name string) bool {
	switch name {
	case ".DS_Store", "postgresql.auto.conf.tmp", "current_logfiles.tmp",
		"backup_label", "tablespace_map", "backup_manifest", "postmaster.pid", "postmaster.opts":
		return true
	}
	for _, prefix := range []string{
		"pgsql_tmp", "pg_internal.init",
		".nfs", ".fuse_hidden", // files that were removed while they were open
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// fileSystemName reports whether a file system has a directory of the name for itself:
// what fsck finds, or the snapshots of all that is there.
func fileSystemName(name string) bool {
	switch name {
	case "lost+found", ".snapshot", ".zfs":
		return true
	}
	return false
}

// emptiedName reports whether a directory of the name is kept without what it
// holds, which the server makes anew when it starts. PostgreSQL goes by the name
// alone, wherever it is.
//
// The directory of stats_temp_directory (PostgreSQL 13 and 14) is known only to
// the configuration; unless it is pg_stat_tmp, its few files are part of the
// backup, and the server removes them.
func emptiedName(name string) bool {
	switch name {
	case "pg_stat_tmp", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_subtrans":
		return true
	}
	return false
}

// mayBeUnlogged reports whether the files of relations in the directory are left
// out beside an init fork, where the copy goes through recovery: recovery makes
// them anew from it.
func (r rules) mayBeUnlogged(in place) bool {
	return in == inDatabase || in == inGlobal && r.major >= 17
}
