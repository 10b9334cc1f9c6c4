package protocol

import (
	"path"
	"strings"
)

// PathKind says what the file of a path is to PostgreSQL, and by that what may happen
// to it while a backup runs (§4.6).
type PathKind int

const (
	// PathForeign is nothing of PostgreSQL's: log/…, notes.txt, a core file. It may
	// change and vanish at any time, and no server misses it.
	PathForeign PathKind = iota
	// PathRelation is a file of a relation's fork, by name and place. WAL replay
	// makes up for what has changed in it, and for its being gone.
	PathRelation
	// PathSLRU is a segment of the commit log or one like it (pg_xact,
	// pg_multixact, pg_commit_ts), which WAL replay mends as it does relations.
	PathSLRU
	// PathMapping is a file of pg_logical/mappings, which logical decoding keeps over
	// a rewrite of a catalog. WAL replay writes it again.
	PathMapping
	// PathState is another file of the cluster that a running server makes,
	// replaces and removes. While it is there, it must be whole. Where WAL is
	// replayed it may be gone: replay removes it too (the files of a database, a
	// prepared transaction), or has no use for it (what logical decoding keeps,
	// statistics).
	PathState
	// PathPermanent is a file of the cluster that is always there, and without
	// which a copy does not start, or loses something: PG_VERSION, pg_control, the
	// configuration, the progress of replication origins.
	PathPermanent
	// PathWAL is what lies below pg_wal. LIST_WAL_FILES lists what is complete for
	// good (§4.7).
	PathWAL
)

// String is the name of the kind, for messages: "relation", "foreign file", ….
func (k PathKind) String() string {
	switch k {
	case PathRelation:
		return "relation"
	case PathSLRU:
		return "SLRU segment"
	case PathMapping:
		return "logical mapping"
	case PathState:
		return "file of the cluster"
	case PathPermanent:
		return "permanent file of the cluster"
	case PathWAL:
		return "WAL"
	}
	return "foreign file"
}

// Replayed reports whether WAL replay mends the content: then, and only then, a file
// may be shorter or longer than it was a moment ago.
func (k PathKind) Replayed() bool { return k == PathRelation || k == PathSLRU || k == PathMapping }

// Whole reports whether a file is of use only as a whole: one that changed while it was
// copied must be copied again.
func (k PathKind) Whole() bool { return k == PathState || k == PathPermanent }

// KindOfPath says what the file of a path is, which is valid by [CheckPath]. It knows
// the name only: that a path is a relation's does not mean that there is such a
// relation.
func KindOfPath(name string) PathKind {
	top, rest, within := strings.Cut(name, "/")
	if !within {
		return kindInDataDirectory(top)
	}
	switch top {
	case "base":
		return kindInDatabases(rest)
	case "pg_tblspc":
		_, rest, _ = strings.Cut(rest, "/") // behind the OID
		_, rest, _ = strings.Cut(rest, "/") // behind PG_MAJOR_CATVERSION
		return kindInDatabases(rest)
	case "global":
		return kindInGlobal(rest)
	case "pg_xact", "pg_commit_ts":
		return kindInSLRU(rest)
	case "pg_multixact":
		_, segment, _ := strings.Cut(rest, "/") // behind offsets or members
		return kindInSLRU(segment)
	case "pg_wal":
		return PathWAL
	case "pg_logical":
		return kindInLogical(rest)
	case "pg_twophase", "pg_stat", "pg_replslot", "pg_subtrans", "pg_notify", "pg_serial", "pg_snapshots":
		return PathState
	}
	return kindOfName(path.Base(rest))
}

func kindInDataDirectory(name string) PathKind {
	switch name {
	case "PG_VERSION", "postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf", "standby.signal", "recovery.signal":
		return PathPermanent
	}
	return kindOfName(name)
}

// kindOfName judges what lies where anybody may put files: the configuration may
// include others, and name certificates, without which the copy does not start.
func kindOfName(name string) PathKind {
	switch path.Ext(name) {
	case ".conf", ".crt", ".key", ".pem":
		return PathState
	}
	return PathForeign
}

func kindInGlobal(name string) PathKind {
	if name == "pg_control" || name == "pg_filenode.map" {
		return PathPermanent
	}
	if _, relation := ParseRelation(name); relation {
		return PathRelation
	}
	return PathState
}

func kindInLogical(name string) PathKind {
	switch {
	case name == "replorigin_checkpoint":
		return PathPermanent
	case strings.HasPrefix(name, "mappings/map-"):
		return PathMapping
	}
	return PathState
}

// kindInDatabases judges a path below base, or a tablespace's directory of a version.
func kindInDatabases(name string) PathKind {
	database, file, _ := strings.Cut(name, "/")
	_, inDatabase := ParseOID(database)
	if _, relation := ParseRelation(file); relation && inDatabase {
		return PathRelation
	}
	return PathState
}

// kindInSLRU judges a path below the directory of an SLRU (slru.c, SlruFileName): the
// names of segments have 4 to 6 hexadecimal digits, or 15.
func kindInSLRU(name string) PathKind {
	length := len(name) >= 4 && len(name) <= 6 || len(name) == 15
	if length && strings.Trim(name, "0123456789ABCDEF") == "" {
		return PathSLRU
	}
	return PathState
}
