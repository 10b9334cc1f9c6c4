package protocol

import (
	"math"
	"strconv"
	"strings"
)

// Relation is what the name of a relation's file says: 16384_vm.2 is the third
// file of the visibility map of the relation 16384.
type Relation struct {
	Number  uint32 // relfilenumber
	Fork    string // "" (main), "fsm", "vm" or "init"
	Segment uint32 // which file of the fork, from 0
}

// ParseRelation reads the name of a relation's file by PostgreSQL 17's rule
// (parse_filename_for_nontemp_relation): a number from 1 to 2^32-1, a fork, and
// a segment from 1, both optional, no leading zeros. Earlier versions took some
// more names, which no version ever wrote. Whether the file is a relation's is a
// question of its place too: see [KindOfPath].
func ParseRelation(name string) (Relation, bool) {
	name, segment, segmented := strings.Cut(name, ".")
	number, fork, forked := strings.Cut(name, "_")
	r := Relation{Fork: fork}
	var valid bool
	if r.Number, valid = ParseOID(number); !valid || forked && !isFork(fork) {
		return Relation{}, false
	}
	if segmented {
		if r.Segment, valid = ParseOID(segment); !valid {
			return Relation{}, false
		}
	}
	return r, true
}

// InitFork is the name of the relation's init fork, which only unlogged
// relations have.
func (r Relation) InitFork() string { return strconv.FormatUint(uint64(r.Number), 10) + "_init" }

// IsTemporaryRelation reports whether the name is one of a temporary relation's
// file: t3_16384_fsm.1 (PostgreSQL's looks_like_temp_rel_name).
func IsTemporaryRelation(name string) bool {
	name, found := strings.CutPrefix(name, "t")
	if !found {
		return false
	}
	name, segment, segmented := strings.Cut(name, ".")
	if segmented && !isDigits(segment) {
		return false
	}
	backend, rest, _ := strings.Cut(name, "_")
	number, fork, forked := strings.Cut(rest, "_")
	return isDigits(backend) && isDigits(number) && (!forked || isFork(fork))
}

// ParseOID reads a number from 1 to 2^32-1 in its only decimal form, as the names of
// databases, tablespaces and relations have it.
func ParseOID(s string) (uint32, bool) {
	const longest = len("4294967295")
	if s == "" || len(s) > longest || s[0] == '0' {
		return 0, false
	}
	n := uint64(0)
	for i := range len(s) {
		digit := s[i] - '0'
		if digit > 9 {
			return 0, false
		}
		n = 10*n + uint64(digit)
	}
	return uint32(n), n <= math.MaxUint32
}

func isFork(s string) bool { return s == "fsm" || s == "vm" || s == "init" }

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
