package walsender_test

import (
	"context"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender"
)

// checkedCluster passes commands through, and knows whether it can be backed up.
type checkedCluster struct {
	*passCluster
	refuse error
}

func (c *checkedCluster) CheckBackup(context.Context) error { return c.refuse }

// SHOW parallel_backup_check is this server's to answer, never PostgreSQL's, which would log
// an error.
func TestCheckBackup_4_9(t *testing.T) {
	cluster := &checkedCluster{passCluster: newPassCluster()}
	addr := serve(t, &walsender.Server{Cluster: cluster, Backups: sharedstate.NewTable(1)})
	c := connect(t, addr, "backup")
	check := func(want ...string) {
		t.Helper()
		wantAnswer(t, c.query("SHOW parallel_backup_check"), append(want, ready)...)
	}
	const columns = "RowDescription (parallel_backup_check text)"
	check(columns, `DataRow ("ok")`, "CommandComplete SHOW")
	cluster.refuse = protocol.Errorf(protocol.CodeInsufficientPrivilege, "no right")
	check("ErrorResponse ERROR 42501 no right")
	cluster.refuse = nil
	c.query("START_BACKUP")
	check("ErrorResponse ERROR 53400 too many concurrent backups (max_concurrent_backups is 1) | " +
		"hint: Wait for one of them to end, or raise max_concurrent_backups.")
	c.query("STOP_BACKUP")
	check(columns, `DataRow ("ok")`, "CommandComplete SHOW")
	if len(cluster.dialed) > 0 {
		t.Error("PostgreSQL was asked")
	}
}
