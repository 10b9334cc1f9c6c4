package datadir

import (
	"errors"
	"hash/maphash"
	"io"

	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// Bounds of what is remembered and looked up in a directory while it is listed. Beyond
// them, a name that readdir tells twice may be listed twice.
const (
	maxSeen    = 1 << 20
	maxConfirm = 100
)

// seenNames are the names of a directory that a listing has come to. While entries are
// made and renamed, readdir may tell a name twice, or miss it. Most names are kept as
// their hashes, a few bytes each; the names that may be missed as they are.
type seenNames struct {
	seed      maphash.Seed
	hashes    map[uint64]struct{}
	expected  map[string]bool // whether readdir told the name
	confirmed int             // how often the directory was read again
}

func newSeenNames(expected []string) *seenNames {
	s := &seenNames{seed: maphash.MakeSeed(), hashes: map[uint64]struct{}{}, expected: make(map[string]bool, len(expected))}
	for _, name := range expected {
		s.expected[name] = false
	}
	return s
}

// add remembers a name of the directory, and reports whether it is new.
func (s *seenNames) add(dir beneath.Dir, name string) (bool, error) {
	if seen, fixed := s.expected[name]; fixed {
		s.expected[name] = true
		return !seen, nil
	}
	hash := maphash.String(s.seed, name)
	if _, seen := s.hashes[hash]; seen {
		return s.collides(dir, name, hash)
	}
	if len(s.hashes) < maxSeen {
		s.hashes[hash] = struct{}{}
	}
	return true, nil
}

// collides reports whether the hash is that of another name of the directory, too: then
// nobody can tell which of them was seen, and a file that is listed twice is better than
// one that is not.
func (s *seenNames) collides(dir beneath.Dir, name string, hash uint64) (bool, error) {
	if s.confirmed++; s.confirmed > maxConfirm {
		return true, nil
	}
	again, err := dir.Sub(".")
	if err != nil {
		return false, err
	}
	defer again.Close()
	for {
		names, err := again.Names(256)
		for _, other := range names {
			if other != name && maphash.String(s.seed, other) == hash {
				return true, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
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
