package livecluster_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// sendFile asks for a file and drops it.
func sendFile(t testing.TB, conn *pgconn.PgConn, path string) error {
	t.Helper()
	_, err := conn.CopyTo(t.Context(), io.Discard, fmt.Sprintf("SEND_FILE ('%s')", path))
	return err
}

// TestSendFile_4_6_RecycledSegment has PostgreSQL recycle a segment that is being sent.
func TestSendFile_4_6_RecycledSegment(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, map[string]string{"wal_keep_size": "0"}))
	leader := replicate(t, s.through())
	id := strings.Split(row(t, leader, "START_BACKUP FAST MAX_RATE 256"), "|")[3]
	segment := sql(t, s.Cluster, "SELECT pg_walfile_name(pg_current_wal_lsn())")
	ended := stuckFile(t, s, id, "pg_wal/"+segment) // takes four seconds
	wait(t, "the segment is recycled", func() bool {
		sql(t, s.Cluster, "CREATE TABLE w (); DROP TABLE w; SELECT pg_switch_wal(); CHECKPOINT")
		_, err := os.Stat(filepath.Join(s.Dir, "pg_wal", segment))
		return os.IsNotExist(err)
	})
	if e := expectCode(t, <-ended, "58P01"); e.Message != "requested WAL segment "+segment+" has already been removed" {
		t.Errorf("the file ends with %q", e.Message)
	}
}

// TestSendFile_4_6_Vanished asks for files that are gone, and for one that has become
// unlogged since it was listed.
func TestSendFile_4_6_Vanished(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, nil))
	leader, _ := startBackup(t, s)
	dropped := sql(t, s.Cluster, "CREATE TABLE dropped AS SELECT 1; SELECT pg_relation_filepath('dropped')")
	unlogged := sql(t, s.Cluster, "CREATE UNLOGGED TABLE unlogged AS SELECT 1; SELECT pg_relation_filepath('unlogged')")
	sql(t, s.Cluster, "DROP TABLE dropped; CHECKPOINT")
	expectCode(t, sendFile(t, leader, dropped), "58P01")
	expectCode(t, sendFile(t, leader, unlogged), "58P01")
	must(t, sendFile(t, leader, unlogged+"_init"))
}

// TestBackup_1_9_Shutdown ends the server in the middle of a backup: PostgreSQL is out
// of backup mode when the server has ended.
func TestBackup_1_9_Shutdown(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, nil))
	startBackup(t, s)
	if got := backends(t, s.Cluster); got != "1" {
		t.Errorf("%s sessions in backup mode", got)
	}
	began := time.Now()
	must(t, s.server.Shutdown(t.Context()))
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("that took %v", took)
	}
	if got := backends(t, s.Cluster); got != "0" {
		t.Errorf("%s sessions are left", got)
	}
}
