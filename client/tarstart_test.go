package client_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol/conninfo"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// systemTar unpacks an archive with the system's tar, which knows compression by the
// suffix.
func systemTar(t *testing.T, archive, dir string) {
	t.Helper()
	if out, err := exec.Command("tar", "-x", "-f", archive, "-C", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("tar -xf %s: %v\n%s", archive, err, out)
	}
}

// withTablespace makes a cluster that runs, with a table in a tablespace.
func withTablespace(t *testing.T, p postgres.Programs) (c *postgres.Cluster, location string) {
	t.Helper()
	c = p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1})
	must(t, c.Start(t.Context()))
	location = filepath.Join(p.TempDir(t), "old")
	must(t, os.Mkdir(location, 0o700))
	must(t, p.Own(location))
	query(t, c, "create tablespace ts location '"+location+"'")
	query(t, c, "create table t tablespace ts as select i, repeat('x', i % 100) from generate_series(1, 20000) i; create unlogged table u as select 1 i")
	return c, location
}

// unpackAndStart unpacks a backup by the system's tar, has PostgreSQL verify it, and
// compares what it finds in it with want. The tablespace was mapped to space; what is
// ignored is handed to pg_verifybackup.
func unpackAndStart(t *testing.T, p postgres.Programs, dir, suffix, space string, want map[string]postgres.Table, ignored ...string) *postgres.Cluster {
	t.Helper()
	unpacked := p.TempDir(t)
	systemTar(t, filepath.Join(dir, "base.tar"+suffix), unpacked)
	spaces, err := filepath.Glob(filepath.Join(dir, "1*.tar"+suffix))
	must(t, err)
	if len(spaces) != 1 {
		t.Fatalf("archives of tablespaces: %v", spaces)
	}
	must(t, os.Mkdir(space, 0o700))
	systemTar(t, spaces[0], space)
	copyFile(t, filepath.Join(dir, "backup_manifest"), filepath.Join(unpacked, "backup_manifest"))
	must(t, p.Own(unpacked))
	must(t, p.Own(space))
	if out, err := p.Run(t.Context(), "pg_verifybackup", append(ignored, unpacked)...); err != nil {
		t.Errorf("pg_verifybackup: %v\n%s", err, out)
	}
	restored := p.OpenCluster(t, unpacked)
	must(t, restored.Start(t.Context()))
	got, err := restored.Fingerprint(t.Context())
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("content of the copy (-want +got):\n%s", diff)
	}
	if got, err := restored.SQL(t.Context(), "postgres", "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'ts'"); err != nil || got != space {
		t.Errorf("the tablespace is in %q, want %q (%v)", got, space, err)
	}
	return restored
}

// A primary that was stopped gives no label: the links are members of base.tar, however
// far they lead.
func TestTar_PostgreSQLStartsFromAStoppedPrimary(t *testing.T) {
	startFromStoppedPrimary(t, zstdSuffix, client.Compression{Method: client.CompressionZstd})
}

func TestTar_PostgreSQLStartsFromAStoppedPrimary_Long(t *testing.T) {
	longtest.Mark(t)
	startFromStoppedPrimary(t, "", client.Compression{})
}

func startFromStoppedPrimary(t *testing.T, suffix string, c client.Compression) {
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	source, location := withTablespace(t, p)
	want, err := source.Fingerprint(ctx)
	must(t, err)
	must(t, source.Stop(ctx, postgres.Fast))
	config := serve(t, source.Dir, &walsender.Server{})
	dir, space := filepath.Join(t.TempDir(), "copy"), filepath.Join(p.TempDir(t), strings.Repeat("new", 50))
	_, err = client.Backup(ctx, client.Options{
		ConnConfig: config, Dir: dir, Jobs: 4, Archive: &client.ArchiveOptions{Compression: c},
		TablespaceMap: map[string]string{location: space},
	})
	must(t, err)
	must(t, unpackAndStart(t, p, dir, suffix, space, want).Stop(ctx, postgres.Fast))
}

// A standby that was stopped gives a label, and with it tablespace_map counts.
func TestTar_PostgreSQLStartsFromAStoppedStandby_Long(t *testing.T) {
	longtest.Mark(t)
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	primary, location := withTablespace(t, p)
	moved := filepath.Join(p.TempDir(t), "standby")
	standby := primary.NewStandby(t, "-T", location+"="+moved)
	must(t, standby.Start(ctx))
	query(t, primary, "create table late tablespace ts as select generate_series(1, 10000) i")
	must(t, primary.Stop(ctx, postgres.Fast)) // it waits until the standby has all of it
	want, err := standby.Fingerprint(ctx)
	must(t, err)
	must(t, standby.Stop(ctx, postgres.Fast))
	config := serve(t, standby.Dir, &walsender.Server{})
	info, err := conninfo.Resolve("host=127.0.0.1 port="+portOf(config), conninfo.Options{Replication: true})
	must(t, err)
	for suffix, c := range map[string]client.Compression{"": {}, gzipSuffix: {Method: client.CompressionGzip}} {
		dir, space := filepath.Join(t.TempDir(), "copy"), filepath.Join(p.TempDir(t), "new")
		_, err = client.Backup(ctx, client.Options{
			ConnConfig: config, Dir: dir, Jobs: 4, Archive: &client.ArchiveOptions{Compression: c}, TablespaceMap: map[string]string{moved: space},
			WriteRecoveryConf: suffix != "", PrimaryConnInfo: primaryIf(suffix != "", info),
		})
		must(t, err)
		// The link is not there before recovery.
		restored := unpackAndStart(t, p, dir, suffix, space, want, "--ignore=pg_tblspc")
		if got, err := restored.SQL(ctx, "postgres", "show primary_conninfo"); err != nil || (suffix != "") != strings.Contains(got, "port="+portOf(config)) {
			t.Errorf("primary_conninfo is %q, %v", got, err)
		}
		must(t, restored.Promote(ctx))
		must(t, restored.Stop(ctx, postgres.Fast))
	}
}

// primaryIf is a primary_conninfo where there is to be one.
func primaryIf(standby bool, info *conninfo.Info) string {
	if !standby {
		return ""
	}
	return info.PrimaryConnInfo(false)
}
