package acceptance_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// TestServe_AuthPassthrough takes a backup as a role whose password only PostgreSQL knows.
func TestServe_AuthPassthrough(t *testing.T) {
	p := postgres.Require(t)
	cluster := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{"wal_keep_size": "64MB"}})
	must(t, os.WriteFile(filepath.Join(cluster.Dir, "pg_hba.conf"),
		[]byte("local all,replication postgres trust\nlocal replication all scram-sha-256\n"), 0o600))
	must(t, cluster.Start(t.Context()))
	sql(t, cluster, "SET password_encryption = 'scram-sha-256'; CREATE ROLE nightly LOGIN REPLICATION PASSWORD 'secret'")
	hba := filepath.Join(t.TempDir(), "hba.conf")
	must(t, os.WriteFile(hba, []byte("local replication all scram-sha-256\n"), 0o600))
	s := serve(t, cluster.Dir, "--cluster="+cluster.ConnString("postgres"), "--passthrough-superuser=postgres", "--hba="+hba, "--auth-passthrough")
	take := func(user, password, dir string) *process {
		cmd := backup(t, s.socketDir, dir, "-U", user, "-j", "4", "-X", "stream", "-c", "fast")
		cmd.Env = append(cmd.Environ(), "PGPASSWORD="+password)
		return run(t, cmd)
	}
	dir := filepath.Join(p.TempDir(t), "copy")
	if done := take("nightly", "secret", dir); done.cmd.ProcessState.ExitCode() != 0 {
		t.Fatalf("the backup fails:\n%s", done.stderr.String())
	}
	verifyBackup(t, p, dir)
	for user, want := range map[string]string{
		"nightly":  `password authentication failed for user "nightly"`,
		"postgres": `the password of user "postgres" cannot be verified`,
	} {
		done := take(user, "wrong", filepath.Join(t.TempDir(), "none"))
		if said := done.stderr.String(); done.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said, want) {
			t.Errorf("%s gets %v:\n%s", user, done.cmd.ProcessState, said)
		}
	}
	if said := s.stderr.String(); !strings.Contains(said, "without a password; put a line into its pg_hba.conf") {
		t.Errorf("serve does not say what to do:\n%s", said)
	}
}
