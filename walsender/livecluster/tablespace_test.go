package livecluster_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestStopBackup_4_3_TablespacePassed creates and drops a tablespace within a backup,
// which no list of tablespaces shows.
func TestStopBackup_4_3_TablespacePassed(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, nil))
	for _, passes := range []bool{true, false} {
		config, err := pgconn.ParseConfig(s.through() + " replication=true")
		must(t, err)
		var said []string
		config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { said = append(said, n.Code+" "+n.Message) }
		leader, err := pgconn.ConnectConfig(t.Context(), config)
		must(t, err)
		row(t, leader, "START_BACKUP FAST")
		if passes {
			location := s.Programs.TempDir(t)
			must(t, os.Chmod(location, 0o700))
			for _, statement := range []string{fmt.Sprintf("CREATE TABLESPACE passing LOCATION '%s'", location), "DROP TABLESPACE passing"} {
				sql(t, s.Cluster, statement)
			}
		}
		row(t, leader, "STOP_BACKUP NOWAIT")
		told := strings.Contains(strings.Join(said, "\n"), "01000 a tablespace was created and dropped during the backup")
		if told != passes {
			t.Errorf("passes: %v, notices: %q", passes, said)
		}
		must(t, leader.Close(context.Background()))
	}
}
