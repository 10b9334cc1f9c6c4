package walsender_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// stoppedCluster is a cluster of PostgreSQL with a tablespace that was shut down, what
// it holds, and a server for it.
type stoppedCluster struct {
	*postgres.Cluster
	tablespace string // the tablespace's directory
	holds      map[string]postgres.Table
	conn       string // to our server, as the programs take it
	addr       net.Addr

	running      *received // what PostgreSQL sent while it ran
	unloggedPath string    // of an unlogged relation
	herePath     string    // of the table here
}

func newStoppedCluster(t *testing.T, p postgres.Programs) *stoppedCluster {
	t.Helper()
	c := &stoppedCluster{tablespace: p.TempDir(t)}
	c.Cluster = p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1, Settings: map[string]string{"autovacuum": "off", "wal_keep_size": "64MB"}})
	must(t, c.Start(t.Context()))
	sql(t, c.Cluster, "create tablespace elsewhere location '"+c.tablespace+"'")
	sql(t, c.Cluster, `create table here as select i, md5(i::text) from generate_series(1, 20000) i;
		create table there tablespace elsewhere as select i, md5(i::text) from generate_series(1, 20000) i;
		create unlogged table forgotten as select i from generate_series(1, 100) i`)
	c.unloggedPath = sql(t, c.Cluster, "select pg_relation_filepath('forgotten')")
	c.herePath = sql(t, c.Cluster, "select pg_relation_filepath('here')")
	var err error
	c.holds, err = c.Fingerprint(t.Context())
	must(t, err)
	c.ask(t, p) // after whoever reads pages, and so changes them
	must(t, c.Stop(t.Context(), postgres.Fast))
	c.addr, c.conn = serveDirectory(t, c.Dir, datadir.Options{})
	return c
}

// serveDirectory serves a data directory, and tells where and how to connect.
func serveDirectory(t *testing.T, dir string, o datadir.Options) (net.Addr, string) {
	t.Helper()
	cluster, err := datadir.Open(dir, o)
	must(t, err)
	t.Cleanup(func() { cluster.Close() })
	addr := serve(t, &walsender.Server{Cluster: cluster, Logger: zap.NewNop()})
	return addr, fmt.Sprintf("host=127.0.0.1 port=%d user=postgres", addr.(*net.TCPAddr).Port)
}

func sql(t *testing.T, c *postgres.Cluster, statements string) string {
	t.Helper()
	out, err := c.SQL(t.Context(), "postgres", statements)
	must(t, err)
	return strings.TrimSpace(out)
}

// pgBaseBackup runs pg_basebackup against our server.
func (c *stoppedCluster) pgBaseBackup(t *testing.T, options ...string) string {
	t.Helper()
	dir := filepath.Join(c.Programs.TempDir(t), "copy")
	_, err := c.Programs.Run(t.Context(), "pg_basebackup", append([]string{"-d", c.conn, "-D", dir, "--no-sync"}, options...)...)
	must(t, err)
	return dir
}

// mapped are the options for a plain copy, whose tablespace must be elsewhere.
func (c *stoppedCluster) mapped(t *testing.T, options ...string) []string {
	t.Helper()
	return append(options, "-T", c.tablespace+"="+filepath.Join(c.Programs.TempDir(t), "elsewhere"))
}

// verify has pg_verifybackup judge a copy.
func (c *stoppedCluster) verify(t *testing.T, dir string, options ...string) {
	t.Helper()
	if !c.Programs.Has("pg_verifybackup") {
		return
	}
	_, err := c.Programs.Run(t.Context(), "pg_verifybackup", append(options, dir)...)
	must(t, err)
}

// starts starts PostgreSQL from a copy and compares what it holds.
func (c *stoppedCluster) starts(t *testing.T, dir string) {
	t.Helper()
	started := c.Programs.OpenCluster(t, dir)
	must(t, started.Start(t.Context()))
	holds, err := started.Fingerprint(t.Context())
	must(t, err)
	if diff := cmp.Diff(c.holds, holds); diff != "" {
		t.Errorf("what the copy holds (-cluster +copy):\n%s", diff)
	}
	must(t, started.Stop(t.Context(), postgres.Fast))
}

// TestBaseBackup_9_1 has PostgreSQL's own program take a backup of a stopped cluster.
func TestBaseBackup_9_1(t *testing.T) {
	c := newStoppedCluster(t, postgres.Require(t))
	t.Run("as PostgreSQL's", c.compareBaseBackup)
	for _, options := range [][]string{{"-P"}, {"-X", "fetch"}} { // stream is the default
		t.Run(strings.Join(options, " "), func(t *testing.T) {
			dir := c.pgBaseBackup(t, c.mapped(t, options...)...)
			c.verify(t, dir)
			c.starts(t, dir)
		})
	}
	t.Run("damaged", c.testDamaged) // the last: it damages the cluster
}

// testDamaged has a page of the cluster damaged. The user is told of the page, and by the exit
// status that the copy, which is there, is not good.
func (c *stoppedCluster) testDamaged(t *testing.T) {
	const block = 3
	name := filepath.Join(c.Dir, c.herePath)
	content, err := os.ReadFile(name)
	must(t, err)
	content[block*8192+5000] ^= 0x20
	must(t, os.WriteFile(name, content, 0o600))
	dir := filepath.Join(c.Programs.TempDir(t), "copy")
	_, err = c.Programs.Run(t.Context(), "pg_basebackup", c.mapped(t, "-d", c.conn, "-D", dir, "--no-sync")...)
	if ended, ok := errors.AsType[*exec.ExitError](err); !ok || ended.ExitCode() != 1 {
		t.Errorf("pg_basebackup: %v, want exit status 1", err)
	}
	for _, want := range []string{
		fmt.Sprintf(`WARNING:  checksum verification failed in file "./%s", block %d: calculated `, c.herePath, block),
		"pg_basebackup: error: checksum error occurred",
	} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("pg_basebackup says %v, want %s", err, want)
		}
	}
	copied, err := os.ReadFile(filepath.Join(dir, c.herePath))
	if err != nil || !bytes.Equal(copied, content) {
		t.Errorf("what was damaged is not copied as it is: %d bytes, %v", len(copied), err)
	}
}

// TestBaseBackup_9_1_Majors_Long does it in every way that pg_basebackup has, with every
// major version; each compression with each of them in a whole run only.
func TestBaseBackup_9_1_Majors_Long(t *testing.T) {
	longtest.Mark(t)
	for _, major := range postgres.Majors() {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			c := newStoppedCluster(t, postgres.RequireMajor(t, major))
			t.Run("as PostgreSQL's", c.compareBaseBackup)
			t.Run("plain", func(t *testing.T) { c.testPlain(t) })
			t.Run("tar", func(t *testing.T) { c.testTar(t) })
			if major >= 15 {
				t.Run("compressed", func(t *testing.T) { c.testCompressed(t) })
			}
			t.Run("damaged", c.testDamaged)
		})
	}
}

func (c *stoppedCluster) testPlain(t *testing.T) {
	t.Run("", func(t *testing.T) { // as most people type it
		dir := c.pgBaseBackup(t, c.mapped(t)...)
		c.verify(t, dir)
		c.starts(t, dir)
	})
	for _, options := range [][]string{
		{"-X", "fetch"},
		{"-X", "fetch", "-P", "-c", "fast", "-l", "it's a 'label'", "--manifest-checksums=SHA512", "--manifest-force-encode"},
		{"-X", "fetch", "-r", "32M", "--no-verify-checksums", "--no-manifest"},
		{"-X", "fetch", "--no-estimate-size"},
		{"-X", "stream", "-P", "--no-slot", "-r", "32M"},
	} {
		t.Run(strings.Join(options, " "), func(t *testing.T) {
			dir := c.pgBaseBackup(t, c.mapped(t, options...)...)
			if slices.Contains(options, "--no-manifest") {
				c.starts(t, dir)
			} else {
				c.verify(t, dir)
			}
		})
	}
	t.Run("-X none", func(t *testing.T) {
		dir := c.pgBaseBackup(t, c.mapped(t, "-X", "none")...)
		c.verify(t, dir, "--no-parse-wal")
		wal, err := filepath.Glob(filepath.Join(c.Dir, "pg_wal", "0*"))
		must(t, err)
		for _, name := range wal {
			must(t, exec.Command("cp", "-p", name, filepath.Join(dir, "pg_wal")).Run())
		}
		c.starts(t, dir)
	})
}

// testTar unpacks archives as a user does: the tablespace's to where its link leads, which
// the cluster itself must not have meanwhile.
func (c *stoppedCluster) testTar(t *testing.T) {
	for _, method := range []string{"fetch", "stream"} {
		t.Run(method, func(t *testing.T) {
			dir := c.pgBaseBackup(t, "-F", "t", "-P", "-X", method)
			if c.Programs.Major >= 18 {
				c.verify(t, dir, "--no-parse-wal")
			}
			c.unpack(t, dir, "")
		})
	}
}

// unpack unpacks archives, one of WAL among them where it was streamed, and starts what is in them.
func (c *stoppedCluster) unpack(t *testing.T, dir, suffix string, decompress ...string) {
	t.Helper()
	archives, err := filepath.Glob(filepath.Join(dir, "[0-9]*.tar"+suffix))
	must(t, err)
	if len(archives) != 1 {
		t.Fatalf("archives of tablespaces: %v", archives)
	}
	target := filepath.Join(c.Programs.TempDir(t), "data")
	must(t, os.Mkdir(target, 0o700))
	moved := c.tablespace + ".moved"
	must(t, os.Rename(c.tablespace, moved))
	defer func() {
		must(t, os.RemoveAll(c.tablespace))
		must(t, os.Rename(moved, c.tablespace))
	}()
	must(t, os.Mkdir(c.tablespace, 0o700))
	into := map[string]string{filepath.Join(dir, "base.tar"+suffix): target, archives[0]: c.tablespace}
	if wal := filepath.Join(dir, "pg_wal.tar"+suffix); exists(wal) {
		into[wal] = filepath.Join(target, "pg_wal")
		must(t, os.Mkdir(into[wal], 0o700))
	}
	for archive, to := range into {
		out, err := exec.Command("tar", append(decompress, "-xf", archive, "-C", to)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tar: %v\n%s", err, out)
		}
	}
	must(t, c.Programs.Own(c.tablespace))
	c.starts(t, target)
}

func (c *stoppedCluster) testCompressed(t *testing.T) {
	p := c.Programs
	if !p.Has("pg_basebackup") {
		t.Skip("pg_basebackup is lent by another major")
	}
	specifications := []string{"server-zstd:level=3,workers=2"}
	archives := map[string]string{"server-gzip": ".gz", "server-zstd:workers=2": ".zst", "server-lz4": ".lz4"}
	switch {
	case longtest.Whole(): // at these levels the race detector takes minutes
		specifications = append(specifications, "server-gzip", "server-gzip:9", "server-lz4", "server-lz4:level=9", "server-zstd:12")
		if p.Major >= 16 {
			specifications = append(specifications, "server-zstd:long")
		}
	case p.Major == 17:
		specifications = append(specifications, "server-lz4", "server-zstd:long")
		archives = nil
	case p.Major != 18:
		archives = nil
	}
	for _, specification := range specifications {
		t.Run(specification, func(t *testing.T) {
			dir := c.pgBaseBackup(t, c.mapped(t, "-X", "fetch", "--compress="+specification)...)
			c.verify(t, dir)
		})
	}
	for how, suffix := range archives {
		t.Run("tar "+how, func(t *testing.T) {
			dir := c.pgBaseBackup(t, "-F", "t", "-X", "fetch", "--compress="+how)
			tool := map[string]string{".gz": "gzip", ".zst": "zstd", ".lz4": "lz4"}[suffix]
			if _, err := exec.LookPath(tool); err != nil {
				t.Skipf("needs %s", tool)
			}
			c.unpack(t, dir, suffix, "--use-compress-program="+tool)
		})
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
