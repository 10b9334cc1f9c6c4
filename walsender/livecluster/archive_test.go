package livecluster_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client"
)

// TestStopBackup_4_3_Archiving stops backups of a cluster whose archiving fails.
func TestStopBackup_4_3_Archiving(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, map[string]string{"archive_mode": "on", "archive_command": "false"}))
	sql(t, s.Cluster, "ALTER ROLE backup SET statement_timeout = '2s'") // must not end the wait

	// stopping sends STOP_BACKUP and returns when PostgreSQL says that it waits.
	stopping := func(t *testing.T) (leader *pgconn.PgConn, ended <-chan error) {
		config, err := pgconn.ParseConfig(s.through() + " replication=true")
		must(t, err)
		notices := make(chan string, 10)
		config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notices <- n.Severity + " " + n.Message }
		leader, err = pgconn.ConnectConfig(t.Context(), config)
		must(t, err)
		t.Cleanup(func() { closeConn(leader) })
		row(t, leader, "START_BACKUP FAST")
		result := make(chan error, 1)
		go func() {
			_, err := command(t, leader, "STOP_BACKUP")
			result <- err
		}()
		const want = "NOTICE base backup done, waiting for required WAL segments to be archived"
		select {
		case got := <-notices:
			if got != want {
				t.Errorf("notice %q", got)
			}
		case <-time.After(patience):
			t.Fatal("no notice")
		}
		return leader, result
	}

	t.Run("no wait", func(t *testing.T) {
		leader := replicate(t, s.through())
		start := strings.Split(row(t, leader, "START_BACKUP LABEL 'it''s \\n' FAST"), "|")
		stop := strings.Split(row(t, leader, "STOP_BACKUP NOWAIT"), "|")
		if start[0] != stop[0] || start[1] != stop[1] || !strings.Contains(stop[2], "\nLABEL: it's \\n\n") {
			t.Errorf("START_BACKUP %q, STOP_BACKUP %q", start, stop)
		}
	})
	t.Run("waiting", func(t *testing.T) {
		t.Run("canceled", func(t *testing.T) {
			t.Parallel()
			leader, ended := stopping(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			must(t, leader.CancelRequest(ctx))
			expectCode(t, <-ended, "57014")
			_, err := command(t, leader, "STOP_BACKUP NOWAIT")
			expectCode(t, err, "55000")
		})
		t.Run("client gone", func(t *testing.T) {
			t.Parallel()
			leader, ended := stopping(t)
			must(t, leader.Conn().Close())
			<-ended
		})
		t.Run("client canceled", func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			dir := filepath.Join(t.TempDir(), "copy")
			_, err := s.backupTo(ctx, t, dir, func(o *client.Options) {
				o.WAL.Method = client.WALNone // waits for the archive
				o.Log = func(e client.Event) {
					if e.Notice != nil && strings.Contains(e.Message, "waiting for required WAL segments") {
						cancel()
					}
				}
			})
			if err == nil || ctx.Err() == nil {
				t.Errorf("error %v", err)
			}
		})
	})
	wait(t, "the sessions are gone", func() bool { return backends(t, s.Cluster) == "0" })
}
