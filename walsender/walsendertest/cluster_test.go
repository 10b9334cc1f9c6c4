package walsendertest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

var (
	_ walsender.Cluster   = (*walsendertest.Cluster)(nil)
	_ walsender.WALLister = (*walsendertest.Cluster)(nil)
	_ walsender.Historian = (*walsendertest.Cluster)(nil)
)

// answers is all that a cluster can be asked, in a form to compare.
type answers struct {
	System      protocol.System
	Settings    protocol.Settings
	InRecovery  bool
	Tablespaces []protocol.Tablespace
	Files       []string
	WAL         []string
	Ranges      []string // answers to ranges of WAL
	Histories   []string
	Start       protocol.StartPoint
	Stop        protocol.BackupStop
}

type servedCluster interface {
	walsender.Cluster
	walsender.WALLister
	walsender.Historian
}

func interrogate(t *testing.T, c servedCluster) answers {
	t.Helper()
	var a answers
	var err error
	ctx, notice := t.Context(), func(*protocol.Error) {}
	a.System, err = c.Identify(ctx)
	must(t, err)
	a.Settings, err = c.Settings(ctx)
	must(t, err)
	a.InRecovery, err = c.InRecovery(ctx)
	must(t, err)
	a.Tablespaces, err = c.Tablespaces(ctx, true)
	must(t, err)
	for _, space := range a.Tablespaces {
		a.Files = append(a.Files, rows(t, c, c.Files(ctx, space.Location, notice))...)
	}
	slices.Sort(a.Files)
	a.WAL = rows(t, c, c.WALFiles(ctx, 0, 0))
	for _, start := range []protocol.LSN{0, 1, 0x100000, 0x180000, 0x200000, 0x200028, 0x300000} {
		for _, end := range []protocol.LSN{0, 0x200000, 0x200001, 0x2000A0, 0x300000} {
			if start <= end || end == 0 {
				a.Ranges = append(a.Ranges, fmt.Sprintf("%v-%v: %v", start, end, names(c.WALFiles(ctx, start, end))))
			}
		}
	}
	for tli := protocol.Timeline(1); tli < 5; tli++ {
		history, err := c.TimelineHistory(ctx, tli)
		a.Histories = append(a.Histories, fmt.Sprintf("%s %s %v", history.Name, history.Content, codeOf(err)))
	}
	start, b, err := c.StartBackup(ctx, protocol.BackupRequest{Label: "l", Notice: notice})
	must(t, err)
	a.Start = start
	a.Stop, err = b.Stop(ctx, true, notice)
	must(t, err)
	for _, label := range []*string{&a.Start.Label, &a.Stop.Label} {
		if *label != "" {
			l, err := protocol.ParseBackupLabel(*label)
			must(t, err)
			l.StartTime = ""
			*label = l.String()
		}
	}
	return a
}

// rows are the rows of a listing with digests of what the files hold.
func rows(t *testing.T, c walsender.Cluster, files iter.Seq2[protocol.File, error]) []string {
	t.Helper()
	var list []string
	for f, err := range files {
		must(t, err)
		line := fmt.Sprintf("%q %c %d", f.Path, f.Type, f.Size)
		if f.Type == protocol.TypeFile {
			data, failures := content(t, c, f.Path, 100_000)
			line += fmt.Sprintf(" %x %d", sha256.Sum256(data), failures)
		}
		list = append(list, line)
	}
	return list
}

// content reads a file in pieces of whole pages, as a server does.
func content(t testing.TB, c walsender.Cluster, path string, piece int) ([]byte, int) {
	t.Helper()
	f, err := c.Open(t.Context(), path, protocol.OpenOptions{StartPtr: 1 << 62, VerifyChecksums: true, Notice: func(*protocol.Error) {}})
	must(t, err)
	defer f.Close()
	var data bytes.Buffer
	_, err = io.CopyBuffer(struct{ io.Writer }{&data}, struct{ io.Reader }{f}, make([]byte, piece/8192*8192))
	must(t, err)
	failures := 0
	if v, ok := f.(walsender.VerifiedFile); ok {
		failures = v.ChecksumFailures()
	}
	return data.Bytes(), failures
}

func names(files iter.Seq2[protocol.File, error]) (list []string) {
	for f, err := range files {
		if err != nil {
			return append(list, codeOf(err))
		}
		list = append(list, f.Path)
	}
	return list
}

func codeOf(err error) string {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return e.Code
	}
	return fmt.Sprint(err)
}

// A Cluster answers as the same Sample does from disk, to the byte.
func TestCluster_AsFromDisk(t *testing.T) {
	for name, state := range map[string]controlfile.State{"shut down": controlfile.StateShutDown, "standby": controlfile.StateShutDownInRecovery} {
		t.Run(name, func(t *testing.T) {
			sample := rich(t.TempDir())
			sample.State, sample.RelationPages = state, 20
			sample.Files = []walsendertest.SampleFile{
				{Path: "base/5/40000", Size: 3 * 8192}, {Path: "base/5/40000.1", Size: 8192}, {Path: "pg_xact/0001", Size: 12345}, {Path: "empty"},
			}
			sample.DamagedPages = []walsendertest.DamagedPage{
				{Path: "base/5/20001", Block: 3}, {Path: "base/5/20001", Block: 1}, {Path: "base/5/40000.1", Block: 0},
				{Path: "pg_tblspc/16500/PG_15_202209061/5/20000", Block: 7},
			}
			dir := filepath.Join(t.TempDir(), "data")
			must(t, sample.Write(dir))
			disk, err := datadir.Open(dir, datadir.Options{})
			must(t, err)
			defer disk.Close()
			want, got := interrogate(t, disk), interrogate(t, &walsendertest.Cluster{Sample: sample})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("disk and memory differ (-disk +memory):\n%s", diff)
			}
		})
	}
}

// The states decide what a backup's label says (§4.1).
func TestCluster_4_1_Labels(t *testing.T) {
	for _, tt := range []struct {
		cluster *walsendertest.Cluster
		from    string
	}{
		{walsendertest.Primary(), ""}, {walsendertest.RunningPrimary(), "primary"}, {walsendertest.Standby(), "standby"},
	} {
		start, b, err := tt.cluster.StartBackup(t.Context(), protocol.BackupRequest{Label: "nightly"})
		must(t, err)
		stop, err := b.Stop(t.Context(), false, nil)
		must(t, err)
		if tt.from == "" {
			if start.Label != "" || stop.Label != "" {
				t.Errorf("labels are %q and %q, want none", start.Label, stop.Label)
			}
			continue
		}
		label, err := protocol.ParseBackupLabel(stop.Label)
		must(t, err)
		if label.From != tt.from || label.Label != "nightly" || tt.cluster.Backups() != 0 {
			t.Errorf("label is %+v, %d backups run", label, tt.cluster.Backups())
		}
	}
	crashed := &walsendertest.Cluster{Sample: walsendertest.Sample{State: controlfile.StateInCrashRecovery}}
	if _, _, err := crashed.StartBackup(t.Context(), protocol.BackupRequest{}); codeOf(err) != protocol.CodeObjectNotInPrerequisite {
		t.Errorf("a backup of a crashed cluster: %v", err)
	}
}

// A million files and a file of a terabyte take no memory.
func TestCluster_Large(t *testing.T) {
	const files, size = 1_000_000, 1 << 40
	c := &walsendertest.Cluster{Sample: walsendertest.Sample{
		SmallFiles: files, Files: []walsendertest.SampleFile{{Path: "base/5/90000", Size: size}},
	}}
	before := allocated()
	count, bytes := 0, int64(0)
	for f, err := range c.Files(t.Context(), "", nil) {
		must(t, err)
		if f.Type == protocol.TypeFile {
			count++
			bytes += f.Size
		}
	}
	if used := allocated() - before; count < files || bytes < size || used > 10<<20 {
		t.Errorf("%d files with %d bytes took %d bytes of memory", count, bytes, used)
	}
	if data, _ := content(t, c, "base/5/1099999", 8192); len(data) != 8192 {
		t.Errorf("the last small file has %d bytes", len(data))
	}
	for _, name := range []string{"base/5/1100000", "base/5/0100000", "base/5/+100000"} {
		if _, err := c.Open(t.Context(), name, protocol.OpenOptions{}); codeOf(err) != protocol.CodeUndefinedFile {
			t.Errorf("opening %s: %v", name, err)
		}
	}
	if _, err := c.Open(t.Context(), "base/5", protocol.OpenOptions{}); codeOf(err) != protocol.CodeWrongObjectType {
		t.Errorf("opening a directory: %v", err)
	}
}

func allocated() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// However a file is read, and whether its pages come out of the cache or not, it holds
// the same.
func TestCluster_Reads(t *testing.T) {
	damaged := []walsendertest.DamagedPage{{Path: "base/5/20000", Block: 5}}
	cluster := &walsendertest.Cluster{Sample: walsendertest.Sample{RelationPages: 40, DamagedPages: damaged}}
	want, _ := content(t, &walsendertest.Cluster{Sample: cluster.Sample}, "base/5/20000", 1<<20)
	walsendertest.NewServer(t, cluster) // it holds the cache
	rapid.Check(t, func(t *rapid.T) {
		f, err := cluster.Open(context.Background(), "base/5/20000", protocol.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for {
			buf := make([]byte, rapid.IntRange(1, 30_000).Draw(t, "size"))
			n, err := f.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				break
			}
		}
		if !bytes.Equal(want, got) {
			t.Fatalf("the file differs: %d bytes, want %d", len(got), len(want))
		}
	})
}

// A Sample that cannot be is the error of whatever is asked first.
func TestCluster_BadSample(t *testing.T) {
	bad := walsendertest.Sample{Version: 12}
	if _, err := (&walsendertest.Cluster{Sample: bad}).Settings(t.Context()); err == nil {
		t.Error("no error for PostgreSQL 12")
	}
	if err := (&walsendertest.Server{Cluster: &walsendertest.Cluster{Sample: bad}}).Start(); err == nil {
		t.Error("a server started on PostgreSQL 12")
	}
}

func BenchmarkCluster_Read(b *testing.B) {
	const size = 16 << 20
	for _, cached := range []bool{false, true} {
		b.Run(fmt.Sprintf("cached=%v", cached), func(b *testing.B) {
			c := &walsendertest.Cluster{Sample: walsendertest.Sample{Files: []walsendertest.SampleFile{{Path: "base/5/90000", Size: size}}}}
			if cached {
				walsendertest.NewServer(b, c)
			}
			buf := make([]byte, 128<<10)
			b.SetBytes(size)
			for b.Loop() {
				f, err := c.Open(b.Context(), "base/5/90000", protocol.OpenOptions{})
				must(b, err)
				for err = error(nil); err == nil; {
					_, err = f.Read(buf)
				}
			}
		})
	}
}
