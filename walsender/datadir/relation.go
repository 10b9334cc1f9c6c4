package datadir

import (
	"strconv"
	"strings"
)

// relation is what the name of a relation's file says: 16384_vm.2 is the third
// file of the visibility map of the relation 16384.
type relation struct {
	number  uint32 // relfilenumber
	fork    string // "" (main), "fsm", "vm" or "init"
	segment uint32 // which file of the fork, from 0
}

// parseRelation reads the name of a relation's file by PostgreSQL 17's rule
// (parse_filename_for_nontemp_relation): a number from 1 to 2^32-1, a fork, and
// a segment from 1, both optional, no leading zeros. Earlier versions took some
// more names, which no version ever wrote.
func parseRelation(name string) (relation, bool) {
	name, segment, segmented := strings.Cut(name, ".")
	number, fork, forked := strings.Cut(name, "_")
	r := relation{fork: fork}
	var valid bool
	if r.number, valid = parseNumber(number); !valid || forked && !isFork(fork) {
		return relation{}, false
	}
	if segmented {
		if r.segment, valid = parseNumber(segment); !valid {
			return relation{}, false
		}
	}
	return r, true
}

// initFork is the name of the relation's init fork, which only unlogged
// relations have.
func (r relation) initFork() string { return strconv.FormatUint(uint64(r.number), 10) + "_init" }

// isTemporary reports whether the name is one of a temporary relation's file:
// t3_16384_fsm.1 (PostgreSQL's looks_like_temp_rel_name).
func isTemporary(name string) bool {
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

func isFork(s string) bool { return s == "fsm" || s == "vm" || s == "init" }

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// parseNumber reads a number from 1 to 2^32-1 in its only decimal form, as OIDs
// and numbers of relations are written.
func parseNumber(s string) (uint32, bool) {
	if !isDigits(s) || s[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil
}
