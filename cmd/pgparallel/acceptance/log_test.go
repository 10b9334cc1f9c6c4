package acceptance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// A healthy run leaves no ERROR, FATAL or WARNING in PostgreSQL's log, which somebody
// watches: not the start of the server, nor a backup or a dry run in any mode (B34).
func TestLog_OfPostgreSQL(t *testing.T) {
	testLogs(t, postgres.Require(t).Major)
}

// TestLogs_OfPostgreSQL_Long is TestLog_OfPostgreSQL for all versions. PostgreSQL 13 and
// 14 have no command that asks for a slot without an error.
func TestLogs_OfPostgreSQL_Long(t *testing.T) {
	longtest.Mark(t)
	testLogs(t, postgres.Majors()...)
}

func testLogs(t *testing.T, majors ...int) {
	for _, major := range majors {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			p := postgres.RequireMajor(t, major)
			c := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{"wal_keep_size": "64MB"}})
			must(t, c.Start(t.Context()))
			sql(t, c, "create role backup login; grant execute on function "+p.BackupFunctions()+" to backup")
			read := len(logOf(t, c))
			expectNoNoise := func(what string) {
				t.Helper()
				log := logOf(t, c)
				if noise := noise.FindAllString(log[read:], -1); len(noise) > 0 {
					t.Errorf("%s leaves in the log:\n%s", what, strings.Join(noise, "\n"))
				}
				read = len(log)
			}
			s := serve(t, c.Dir, "--cluster="+c.ConnString("postgres"), "--passthrough-superuser=postgres")
			expectNoNoise("the start of a server that streams")
			transient := serve(t, c.Dir, "--cluster="+strings.Replace(c.ConnString("postgres"), "user=postgres", "user=backup", 1))
			expectNoNoise("the start of a server that does not stream")
			modes := []string{"", "--dry-run", "-X fetch", "-X none", "--no-slot", "-C -S new", "-S new", "-F t", "-R", "--dry-run -S new"}
			if major > 14 {
				modes = modes[:2]
			}
			for _, mode := range modes {
				options := append([]string{"-c", "fast", "--no-sync"}, strings.Fields(mode)...)
				succeed(t, backup(t, s.socketDir, filepath.Join(t.TempDir(), "copy"), options...))
				expectNoNoise("a backup with " + mode)
				if !strings.Contains(mode, "slot") && !strings.Contains(mode, "-S") && mode != "-R" {
					succeed(t, backup(t, transient.socketDir, filepath.Join(t.TempDir(), "copy"), options...))
					expectNoNoise("a backup by fetch with " + mode)
				}
			}
			conn, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=%s port=5433 user=postgres replication=true", s.socketDir))
			must(t, err)
			must(t, conn.Exec(t.Context(), "").Close()) // what a backup sends to have its connection rest
			must(t, conn.Close(t.Context()))
			expectNoNoise("an empty query")
		})
	}
}

var noise = regexp.MustCompile(`(?m)^.*(ERROR|FATAL|PANIC|WARNING): .*$`)

func logOf(t *testing.T, c *postgres.Cluster) string {
	t.Helper()
	content, err := os.ReadFile(c.LogFile())
	must(t, err)
	return string(content)
}
