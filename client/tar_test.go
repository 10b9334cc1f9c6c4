package client_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol/conninfo"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// names are what a directory holds.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var list []string
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return list
}

// expectWhole verifies a directory with the manifest that lies in it.
func expectWhole(t *testing.T, dir string) {
	t.Helper()
	report, err := client.Verify(t.Context(), dir, client.VerifyOptions{})
	must(t, err)
	if len(report.Problems) > 0 {
		t.Errorf("problems: %v", report.Problems)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, content, 0o600))
}

// Whatever the compression and the number of jobs, what is unpacked is what the
// manifest says. Tablespaces are unpacked into where the links in base.tar lead, or
// where tablespace_map says.
func TestTar_EachCompression(t *testing.T) { compressEach(t, 5) }

func TestTar_EachCompression_Long(t *testing.T) {
	longtest.Mark(t)
	compressEach(t, 1)
}

func compressEach(t *testing.T, jobs int) {
	t.Helper()
	for _, state := range []controlfile.State{controlfile.StateShutDown, controlfile.StateShutDownInRecovery} {
		source := writeSample(t, walsendertest.Sample{
			State: state, SmallFiles: 300, Unlogged: true,
			Tablespaces: []walsendertest.SampleTablespace{{OID: 16400, Location: filepath.Join(t.TempDir(), "space")}},
		})
		config := serve(t, source, &walsender.Server{})
		for suffix, c := range map[string]client.Compression{
			"":         {},
			gzipSuffix: {Method: client.CompressionGzip, Level: 1},
			lz4Suffix:  {Method: client.CompressionLZ4},
			zstdSuffix: {Method: client.CompressionZstd, Level: 5},
		} {
			t.Run(c.Method.String(), func(t *testing.T) {
				dir, space := filepath.Join(t.TempDir(), "copy"), t.TempDir()
				_, err := client.Backup(t.Context(), client.Options{
					ConnConfig: config, Dir: dir, Jobs: jobs, WAL: client.WALOptions{Method: client.WALFetch}, Archive: &client.ArchiveOptions{Compression: c}, TablespaceMap: map[string]string{tablespaceOf(t, source): space},
				})
				must(t, err)
				want := []string{"16400.tar" + suffix, "backup_manifest", "base.tar" + suffix}
				if diff := cmp.Diff(want, names(t, dir)); diff != "" {
					t.Errorf("names in the target (-want +got):\n%s", diff)
				}

				unpacked := t.TempDir()
				headers := extract(t, decompressed(t, filepath.Join(dir, "base.tar"+suffix)), unpacked)
				extract(t, decompressed(t, filepath.Join(dir, "16400.tar"+suffix)), space)
				if last := headers[len(headers)-1].Name; last != "global/pg_control" {
					t.Errorf("%s is the last member", last)
				}
				if state == controlfile.StateShutDownInRecovery {
					content, err := os.ReadFile(filepath.Join(unpacked, "tablespace_map"))
					must(t, err)
					if want := "16400 " + space + "\n"; string(content) != want {
						t.Errorf("tablespace_map is %q, want %q", content, want)
					}
					must(t, os.Symlink(space, filepath.Join(unpacked, "pg_tblspc/16400")))
				}
				copyFile(t, filepath.Join(dir, "backup_manifest"), filepath.Join(unpacked, "backup_manifest"))
				expectWhole(t, unpacked)
			})
		}
	}
}

// tablespaceOf is where the tablespace of a sample lies.
func tablespaceOf(t *testing.T, source string) string {
	t.Helper()
	to, err := os.Readlink(filepath.Join(source, "pg_tblspc/16400"))
	must(t, err)
	return to
}

// On standard output the manifest is the last member, as there is no other place.
func TestTar_Output(t *testing.T) {
	source := writeSample(t, walsendertest.Sample{SmallFiles: 100})
	addLargeFiles(t, source)
	config := serve(t, source, &walsender.Server{})
	for _, c := range []client.Compression{{}, {Method: client.CompressionGzip}} {
		var out bytes.Buffer
		_, err := client.Backup(t.Context(), client.Options{
			ConnConfig: config, Archive: &client.ArchiveOptions{Output: &out, Compression: c}, Jobs: 5, NoVerifyChecksums: true,
		})
		must(t, err)
		suffix := ""
		if c.Method == client.CompressionGzip {
			suffix = gzipSuffix
		}
		dir := t.TempDir()
		headers := extract(t, library(t, &out, suffix), dir)
		if last := headers[len(headers)-1].Name; last != "backup_manifest" {
			t.Errorf("%s is the last member", last)
		}
		expectWhole(t, dir)
	}
}

func TestTar_OutputWithTablespaces(t *testing.T) {
	source := writeSample(t, walsendertest.Sample{
		Tablespaces: []walsendertest.SampleTablespace{{OID: 16400, Location: filepath.Join(t.TempDir(), "space")}},
	})
	var out bytes.Buffer
	_, err := client.Backup(t.Context(), client.Options{
		ConnConfig: serve(t, source, &walsender.Server{}), Archive: &client.ArchiveOptions{Output: &out},
	})
	if err == nil || err.Error() != "can only write single tablespace to stdout, database has 2" {
		t.Errorf("error is %v", err)
	}
	if out.Len() > 0 {
		t.Errorf("%d bytes were written", out.Len())
	}
}

// An in-place tablespace has an archive of its own, as pg_basebackup writes it, and none where
// there is one output for all.
func TestTar_InPlaceTablespace(t *testing.T) {
	source := writeSample(t, walsendertest.Sample{Tablespaces: []walsendertest.SampleTablespace{{OID: 16400}}, Version: 16})
	config := serve(t, source, &walsender.Server{})
	dir, unpacked := filepath.Join(t.TempDir(), "copy"), t.TempDir()
	_, err := client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: dir, Jobs: 3, Archive: &client.ArchiveOptions{}})
	must(t, err)
	if diff := cmp.Diff([]string{"16400.tar", "backup_manifest", "base.tar"}, names(t, dir)); diff != "" {
		t.Errorf("names in the target (-want +got):\n%s", diff)
	}
	expectWhole(t, dir)
	for name, within := range map[string]string{"base.tar": "", "16400.tar": "pg_tblspc/16400"} {
		for _, h := range extract(t, decompressed(t, filepath.Join(dir, name)), filepath.Join(unpacked, within)) {
			if strings.HasPrefix(h.Name, "pg_tblspc/16400/P") || within != "" && !strings.HasPrefix(h.Name, "PG_16_") {
				t.Errorf("%s has %s", name, h.Name)
			}
		}
	}
	copyFile(t, filepath.Join(dir, "backup_manifest"), filepath.Join(unpacked, "backup_manifest"))
	expectWhole(t, unpacked)

	var out bytes.Buffer
	_, err = client.Backup(t.Context(), client.Options{ConnConfig: config, Archive: &client.ArchiveOptions{Output: &out}})
	must(t, err)
	unpacked = t.TempDir()
	extract(t, &out, unpacked)
	expectWhole(t, unpacked)
}

// stuckOutput takes nothing until its deadline has passed.
type stuckOutput struct {
	stuck  func()
	passed chan struct{}
}

func (o *stuckOutput) SetWriteDeadline(time.Time) error {
	close(o.passed)
	return nil
}

func (o *stuckOutput) Write([]byte) (int, error) {
	o.stuck()
	<-o.passed
	return 0, os.ErrDeadlineExceeded
}

// A backup that is canceled ends although nobody reads what it writes.
func TestTar_5_3_StuckOutput(t *testing.T) {
	config := serve(t, writeSample(t, walsendertest.Sample{}), &walsender.Server{})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := client.Backup(ctx, client.Options{
		ConnConfig: config, Archive: &client.ArchiveOptions{Output: &stuckOutput{cancel, make(chan struct{})}}, Jobs: 3,
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestTar_TablespaceMapEscapes(t *testing.T) {
	location := filepath.Join(t.TempDir(), "a\\b\nc\rd")
	source := writeSample(t, walsendertest.Sample{
		State:       controlfile.StateShutDownInRecovery,
		Tablespaces: []walsendertest.SampleTablespace{{OID: 16400, Location: filepath.Join(t.TempDir(), "space")}},
	})
	dir := filepath.Join(t.TempDir(), "copy")
	_, err := client.Backup(t.Context(), client.Options{
		ConnConfig: serve(t, source, &walsender.Server{}), Dir: dir, Archive: &client.ArchiveOptions{},
		TablespaceMap: map[string]string{tablespaceOf(t, source): location},
	})
	must(t, err)
	unpacked := t.TempDir()
	extract(t, decompressed(t, filepath.Join(dir, "base.tar")), unpacked)
	content, err := os.ReadFile(filepath.Join(unpacked, "tablespace_map"))
	must(t, err)
	escaped := strings.NewReplacer("\\", "\\\\", "\n", "\\\n", "\r", "\\\r").Replace(location)
	if want := "16400 " + escaped + "\n"; string(content) != want {
		t.Errorf("tablespace_map is %q, want %q", content, want)
	}
	if left := names(t, filepath.Join(unpacked, "pg_tblspc")); len(left) > 0 {
		t.Errorf("pg_tblspc holds %v", left)
	}
}

// A standby is made of the backup: with a server's parameters and a password, in
// either format.
func TestRecoveryConf(t *testing.T) {
	config := serve(t, writeSample(t, walsendertest.Sample{}), &walsender.Server{})
	info, err := conninfo.Resolve(`host=127.0.0.1 user=postgres sslmode=disable password='it\'s \\' port=`+portOf(config), conninfo.Options{Replication: true})
	must(t, err)
	for _, archive := range []*client.ArchiveOptions{nil, {}} {
		dir := filepath.Join(t.TempDir(), "copy")
		_, err := client.Backup(t.Context(), client.Options{
			ConnInfo: info, Dir: dir, Archive: archive, WriteRecoveryConf: true, PrimaryConnInfo: info.PrimaryConnInfo(false),
		})
		must(t, err)
		if archive != nil {
			unpacked := t.TempDir()
			extract(t, decompressed(t, filepath.Join(dir, "base.tar")), unpacked)
			copyFile(t, filepath.Join(dir, "backup_manifest"), filepath.Join(unpacked, "backup_manifest"))
			dir = unpacked
		}
		content, err := os.ReadFile(filepath.Join(dir, "postgresql.auto.conf"))
		must(t, err)
		lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
		want := `primary_conninfo = 'user=postgres password=''it\\''s \\\\'' host=127.0.0.1 port=` + portOf(config) + ` sslmode=disable'`
		if got := lines[len(lines)-2]; got != want {
			t.Errorf("the last line but one is\n%s, want\n%s", got, want)
		}
		if len(lines) < 3 {
			t.Error("what was in postgresql.auto.conf is lost")
		}
		if info, err := os.Stat(filepath.Join(dir, "standby.signal")); err != nil || info.Size() != 0 || info.Mode().Perm() != 0o600 {
			t.Errorf("standby.signal: %v, %v", info, err)
		}
		expectWhole(t, dir)
	}
}

func portOf(config *pgconn.Config) string { return strconv.Itoa(int(config.Port)) }

func TestWALDir(t *testing.T) {
	config := serve(t, writeSample(t, walsendertest.Sample{}), &walsender.Server{})
	for _, existed := range []bool{false, true} {
		parent := t.TempDir()
		dir, wal := filepath.Join(parent, "copy"), filepath.Join(parent, "far/wal")
		if existed {
			must(t, os.MkdirAll(wal, 0o755))
		}
		_, err := client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: dir, WAL: client.WALOptions{Dir: wal}})
		must(t, err)
		expectWhole(t, dir)
		if to, err := os.Readlink(filepath.Join(dir, "pg_wal")); err != nil || to != wal {
			t.Errorf("pg_wal leads to %q, %v", to, err)
		}
		if left := names(t, wal); len(left) < 2 || !slices.Contains(left, "archive_status") {
			t.Errorf("the WAL directory holds %v", left)
		}
	}
}

// A full disk is told once, by what could not be written.
func TestTar_5_3_NoSpace(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	config := serve(t, writeSample(t, walsendertest.Sample{}), &walsender.Server{})
	_, err = client.Backup(t.Context(), client.Options{ConnConfig: config, Archive: &client.ArchiveOptions{Output: full}, Jobs: 3})
	if want := "could not write to the archive: no space left on device"; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}
