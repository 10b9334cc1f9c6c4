// Package postgres runs the PostgreSQL that is installed on the machine: it
// makes clusters that are thrown away, starts and stops them, and asks them
// questions. It serves tests, where the real thing is the judge, and
// demonstrations. Nothing here is meant for a cluster that somebody needs.
//
// The script fetch beside this file (make postgres) fetches other majors than the
// installed one into a cache folder; [All] finds them.
//
// PostgreSQL refuses to run as root. Where the process is root's, the programs
// run as the user postgres, or as nobody where there is no such user, and work
// in directories that this user owns and can reach: see [Programs.MkdirTemp]
// and [Programs.Own].
package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNotFound is wrapped by the error of [Find] where the machine has no
// PostgreSQL server. That error's text tells where it was looked for.
var ErrNotFound = errors.New("PostgreSQL server not found")

// Programs are the programs of one PostgreSQL installation and the user that
// they run as. [Find] makes one; it is immutable and may be used from several
// goroutines.
type Programs struct {
	BinDir  string // the directory that holds initdb, postgres, psql, ...
	Version string // as the server tells it: 15.18, 19devel
	Major   int    // the leading number of Version

	user  *account // nil where the programs run as the user of this process
	newer []string // the directories of newer majors, the oldest first, to borrow from: see [All]
}

// Find looks for a PostgreSQL server: in the directories that the variable
// PGPARALLEL_POSTGRES lists (bin, or the one above it), for the initdb on PATH
// (through symbolic links), with pg_config --bindir, in the places of Debian, of
// the PostgreSQL RPMs and of Homebrew, then where the script fetch puts them, the
// newest version first. A directory counts if it holds initdb, pg_ctl, postgres
// and psql. The error wraps [ErrNotFound] where none does; others tell that the
// programs are there but do not run.
func Find() (Programs, error) { return find(places()) }

func find(places []string) (Programs, error) {
	account, err := serverAccount()
	if err != nil {
		return Programs{}, err
	}
	dirs := candidates(places)
	i := slices.IndexFunc(dirs, func(dir string) bool { return isBinDir(dir) && isProgram(dir, "psql") })
	if i < 0 {
		return Programs{}, fmt.Errorf("%w: no initdb on PATH, none in %s, nor in %s",
			ErrNotFound, listing(dirs), strings.Join(places, ", "))
	}
	return open(dirs[i], account)
}

// open asks the programs in a directory for their version.
func open(binDir string, user *account) (Programs, error) {
	p := Programs{BinDir: binDir, user: user}
	line, err := p.Run(context.Background(), "postgres", "--version")
	if err != nil {
		return Programs{}, fmt.Errorf("asking for the version of PostgreSQL: %w", err)
	}
	if p.Version, p.Major, err = parseVersion(line); err != nil {
		return Programs{}, err
	}
	return p, nil
}

// candidates are the directories that may hold the programs, the best first.
func candidates(places []string) []string {
	var dirs []string
	for _, dir := range filepath.SplitList(os.Getenv("PGPARALLEL_POSTGRES")) {
		dirs = append(dirs, dir, filepath.Join(dir, "bin"))
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range places {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		slices.SortStableFunc(found, func(a, b string) int { return versionOf(b) - versionOf(a) })
		dirs = append(dirs, found...)
	}
	return dirs
}

func places() []string {
	places := []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
		"/usr/local/pgsql/bin",
		"/var/cache/pgparallel/postgres/*/bin", // where root fetches to
	}
	if cache, err := os.UserCacheDir(); err == nil {
		places = append(places, filepath.Join(cache, "pgparallel/postgres/*/bin"))
	}
	return places
}

// versionOf is the major version in the name of a directory of [places]: the
// digits at the end of the one above bin.
func versionOf(binDir string) int {
	name := filepath.Base(filepath.Dir(binDir))
	n, _ := strconv.Atoi(name[strings.LastIndexAny(name, "-@")+1:]) // 0 is the oldest
	return n
}

// isBinDir reports whether a directory holds the programs of a server.
func isBinDir(dir string) bool {
	return isProgram(dir, "initdb") && isProgram(dir, "pg_ctl") && isProgram(dir, "postgres")
}

func isProgram(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func listing(dirs []string) string {
	if len(dirs) == 0 {
		return "pg_config --bindir"
	}
	return strings.Join(dirs, ", ")
}

// parseVersion reads "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
func parseVersion(line string) (version string, major int, err error) {
	_, rest, found := strings.Cut(line, "(PostgreSQL) ")
	if fields := strings.Fields(rest); found && len(fields) > 0 {
		digits := strings.IndexFunc(fields[0]+".", func(r rune) bool { return r < '0' || r > '9' })
		if major, err = strconv.Atoi(fields[0][:digits]); err == nil {
			return fields[0], major, nil
		}
	}
	return "", 0, fmt.Errorf("version of PostgreSQL in %q is not understood", line)
}
