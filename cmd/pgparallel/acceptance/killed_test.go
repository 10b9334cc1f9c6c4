package acceptance_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// refusal is how PostgreSQL refuses to start from something that is no cluster.
var refusal = regexp.MustCompile(`is not a database cluster directory|is not a valid data directory|` +
	`could not access the server configuration file|could not find the database system|` +
	`directory ".*" does not exist`)

// kill -9 ends the client at each step of §5.1 that asks the server for something.
// PostgreSQL refuses to start from what is left. Nor does the server suffer: each of
// the backups that lost their leader makes room for the next.
func TestKilled_PostgreSQLRefusesWhatIsLeft(t *testing.T) {
	t.Parallel()
	cluster, location := small(t)
	s := serve(t, cluster.Dir)
	for _, step := range []struct {
		query string
		n     int
	}{
		{"LIST_TABLESPACES", 1}, // before START_BACKUP
		{"START_BACKUP", 1},
		{"JOIN_BACKUP", 1},
		{"JOIN_BACKUP", 2},
		{"LIST_TABLESPACES", 2},
		{"LIST_FILES", 1}, // of the data directory
		{"LIST_FILES", 2}, // of the tablespace
		{"SEND_FILE", 1},
		{"SEND_FILE", 500},
		{"SEND_FILE ('global/pg_control')", 1},
		{"STOP_BACKUP", 1},
		{"LIST_TABLESPACES", 3}, // after STOP_BACKUP
		{"LIST_WAL_FILES", 1},
		{"SEND_FILE ('pg_wal/", 1},
	} {
		t.Run(fmt.Sprintf("%s %d", step.query, step.n), func(t *testing.T) {
			base := cluster.Programs.TempDir(t)
			dir, tablespace := filepath.Join(base, "copy"), filepath.Join(base, "elsewhere")
			g := newGate(t, s, step.query, step.n)
			b := start(t, backup(t, g.socketDir, dir, "-j", "2", "--no-sync", "-T", location+"="+tablespace))
			g.wait(t, b)
			b.signal(unix.SIGKILL)
			b.wait(t)
			if b.status() != -1 {
				t.Fatalf("the client ended by itself: %v", b.cmd.ProcessState)
			}
			checkRefused(t, cluster.Programs, base, dir)
		})
	}

	base := cluster.Programs.TempDir(t)
	dir, tablespace := filepath.Join(base, "copy"), filepath.Join(base, "elsewhere")
	succeed(t, backup(t, s.socketDir, dir, "--no-sync", "-T", location+"="+tablespace))
	verifyBackup(t, cluster.Programs, dir, tablespace)
}

// checkRefused has PostgreSQL try. What is missing altogether it cannot start either.
func checkRefused(t *testing.T, p postgres.Programs, base, dir string) {
	t.Helper()
	must(t, p.Own(base))
	residue, err := p.At(dir)
	must(t, err)
	defer residue.Close()
	err = residue.Start(t.Context())
	if err == nil {
		t.Fatal("PostgreSQL has started from what is left of a killed backup")
	}
	if !refusal.MatchString(err.Error()) {
		t.Errorf("PostgreSQL did not start for another reason: %v", err)
	}
	t.Log(refusal.FindString(err.Error()))
}
