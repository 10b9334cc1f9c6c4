package postgres

import (
	"fmt"
	"slices"
	"strings"
)

// All finds a server of each major version that the machine has, in the places of
// [Find]; the oldest major comes first. Of a major that is there twice, the first
// found with psql counts, else the first. Some packages have the server's programs
// only: the next newer major that has them lends psql, pgbench, pg_basebackup,
// pg_receivewal and pg_controldata then. The
// error wraps [ErrNotFound] where there is no server at all; others tell that the
// programs are there but do not run.
func All() ([]Programs, error) {
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	places := places()
	dirs := slices.DeleteFunc(candidates(places), func(dir string) bool { return !isBinDir(dir) })
	slices.SortStableFunc(dirs, func(a, b string) int { return rank(a) - rank(b) })
	var all []Programs
	for _, dir := range dirs {
		p, err := open(dir, account)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		if !slices.ContainsFunc(all, func(other Programs) bool { return other.Major == p.Major }) {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no initdb on PATH, nor in %s", ErrNotFound, strings.Join(places, ", "))
	}
	slices.SortFunc(all, func(a, b Programs) int { return a.Major - b.Major })
	for i := range all {
		for _, newer := range all[i+1:] {
			all[i].newer = append(all[i].newer, newer.BinDir)
		}
	}
	return all, nil
}

// rank puts directories with psql before those without.
func rank(binDir string) int {
	if isProgram(binDir, "psql") {
		return 0
	}
	return 1
}

// lent are the programs that work with the server of an older major, but for
// pg_controldata: it does where the control files have one layout, as those of the
// majors that are lent to have.
var lent = []string{"psql", "pgbench", "pg_basebackup", "pg_receivewal", "pg_controldata"}

// dirOf is the directory where a program is: the installation's own, unless
// a newer major lends it.
func (p Programs) dirOf(name string) string {
	if isProgram(p.BinDir, name) || !slices.Contains(lent, name) {
		return p.BinDir
	}
	i := slices.IndexFunc(p.newer, func(dir string) bool { return isProgram(dir, name) })
	if i < 0 {
		return p.BinDir
	}
	return p.newer[i]
}

// Majors are the major versions of PostgreSQL that there are tests for.
func Majors() []int { return []int{13, 14, 15, 16, 17, 18, 19} }

// Has reports whether the installation itself has a program, such as pg_verifybackup.
func (p Programs) Has(name string) bool { return isProgram(p.BinDir, name) }
