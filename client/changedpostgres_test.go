package client_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// What ALTER SYSTEM, a subscriber and an administrator write while the backup runs is in
// it whole: PostgreSQL starts from the copy, in either format (§5.2).
func TestBackup_5_2_PostgreSQLStartsFromAChangedCluster(t *testing.T) {
	startFromChanged(t, "plain", nil)
}

func TestBackup_5_2_PostgreSQLStartsFromAChangedCluster_Long(t *testing.T) {
	longtest.Mark(t)
	startFromChanged(t, "tar", &client.ArchiveOptions{})
}

func startFromChanged(t *testing.T, name string, archive *client.ArchiveOptions) {
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	source := p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1})
	must(t, source.Start(ctx))
	config := beside(t, source)
	query(t, source, "CREATE TABLE t AS SELECT generate_series(1, 1000) i")
	query(t, source, advance("first", "0/1000"))
	query(t, source, "ALTER SYSTEM SET work_mem = '8MB'")
	query(t, source, "ALTER SYSTEM SET maintenance_work_mem = '64MB'")
	query(t, source, "CHECKPOINT")
	o := client.Options{ConnConfig: config, Dir: filepath.Join(p.TempDir(t), "copy"), Jobs: 2, FastCheckpoint: true, Archive: archive}
	o.OnStep(func(step string) {
		if step == "copy files" { // all are listed
			must(t, changeCluster(ctx, source, name))
		}
	})
	_, err := client.Backup(ctx, o)
	must(t, err)
	must(t, p.Own(o.Dir))
	if archive != nil {
		o.Dir = unpackStreamed(t, p, o.Dir)
	}
	_, err = p.Run(ctx, "pg_verifybackup", o.Dir)
	must(t, err)
	want, err := source.Fingerprint(ctx)
	must(t, err)
	restored := p.OpenCluster(t, o.Dir)
	must(t, restored.Start(ctx))
	got, err := restored.Fingerprint(ctx)
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: content of the copy (-want +got):\n%s", name, diff)
	}
	const progress = "SELECT string_agg(external_id || ' ' || remote_lsn, ', ' ORDER BY external_id) FROM pg_replication_origin_status"
	if got, want := answer(t, restored, progress), answer(t, source, progress); got != want || !strings.Contains(got, "third") {
		t.Errorf("%s: replication origins are %q, want %q", name, got, want)
	}
	must(t, restored.Stop(ctx, postgres.Fast))
}

// advance makes a replication origin, and notes how far it has come.
func advance(origin, lsn string) string {
	return "SELECT pg_replication_origin_create('" + origin + "'); SELECT pg_replication_origin_advance('" + origin + "', '" + lsn + "')"
}

// changeCluster makes files shorter and longer that WAL replay does not mend.
func changeCluster(ctx context.Context, c *postgres.Cluster, name string) error {
	hba, err := os.OpenFile(filepath.Join(c.Dir, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer hba.Close()
	if _, err := hba.WriteString("local all all trust # one more line, and a long one\n"); err != nil {
		return err
	}
	for _, statement := range []string{
		"ALTER SYSTEM RESET work_mem", advance("second "+name, "0/2000"), advance("third "+name, "0/3000"),
		"INSERT INTO t SELECT generate_series(1, 10000)", "CHECKPOINT",
	} {
		if _, err := c.SQL(ctx, "postgres", statement); err != nil {
			return err
		}
	}
	return nil
}
