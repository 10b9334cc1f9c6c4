package postgres

import (
	"fmt"
	"slices"
	"strings"
)

// All finds a server of each major version that the machine has, in the places of
// [Find]; the oldest major comes first. Of a major that is there twice, the first
// found with psql counts, else the first. Some packages have the server's programs
// only: psql, pgbench and pg_controldata are lent by the nearest major then. The
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
		all[i].others = lenders(all, all[i].Major)
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

// lenders are the directories of the other majors, the nearest first, and of two
// that are as near the newer one.
func lenders(all []Programs, major int) []string {
	distance := func(p Programs) int {
		if p.Major > major {
			return 2 * (p.Major - major)
		}
		return 2*(major-p.Major) + 1
	}
	sorted := slices.SortedFunc(slices.Values(all), func(a, b Programs) int { return distance(a) - distance(b) })
	var dirs []string
	for _, p := range sorted {
		if p.Major != major {
			dirs = append(dirs, p.BinDir)
		}
	}
	return dirs
}

// lent are the programs of one major that work with a server of the next one.
var lent = []string{"psql", "pgbench", "pg_controldata"}

// dirOf is the directory where a program is: the installation's own, unless
// another major lends it.
func (p Programs) dirOf(name string) string {
	if isProgram(p.BinDir, name) || !slices.Contains(lent, name) {
		return p.BinDir
	}
	i := slices.IndexFunc(p.others, func(dir string) bool { return isProgram(dir, name) })
	if i < 0 {
		return p.BinDir
	}
	return p.others[i]
}

// Has reports whether the installation itself has a program, such as pg_verifybackup.
func (p Programs) Has(name string) bool { return isProgram(p.BinDir, name) }
