package client_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

const besideDir = ".pgparallel-refresh"

// refreshed is what a backup holds that the server has: all but what differs from one backup to
// the next.
func refreshed(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch {
		case name == "backup_label" || name == "backup_manifest" || strings.HasPrefix(name, "pg_wal/"):
		case e.IsDir():
			files[name] = "directory"
		default:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files[name] = string(content)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// checkRefreshed makes sure that a backup is whole and holds what another, new one of the
// server does.
func checkRefreshed(t testing.TB, o client.Options) {
	t.Helper()
	report, err := client.Verify(t.Context(), o.Dir, client.VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) > 0 {
		t.Fatalf("problems: %v", report.Problems)
	}
	fresh := client.Options{ConnConfig: o.ConnConfig, Dir: filepath.Join(t.TempDir(), "fresh"), NoSync: true, NoVerifyChecksums: true}
	if _, err := client.Backup(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	want, got := refreshed(t, fresh.Dir), refreshed(t, o.Dir)
	for name := range want {
		if want[name] != got[name] {
			t.Errorf("%s differs from the server's", name)
		}
	}
	for name := range got {
		if _, listed := want[name]; !listed {
			t.Errorf("%s is not on the server", name)
		}
	}
	if _, err := os.Lstat(o.Dir + besideDir); err == nil {
		t.Errorf("something is left beside the backup")
	}
}

// overwrite changes bytes of a file, whose size and time stay.
func overwrite(t testing.TB, path string, at int64, content string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(content), at); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
}

// bigRelation is one that is compared by blocks.
const bigRelation = "base/5/90000"

// grow makes a relation of the source of so many pages.
func grow(t testing.TB, source string, pages int) {
	t.Helper()
	content := make([]byte, pages*8192)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	mustBe(t, os.WriteFile(filepath.Join(source, bigRelation), content, 0o600))
}

func mustBe(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRefresh_8_3_FetchesWhatDiffers(t *testing.T) {
	for _, inPlace := range []bool{false, true} {
		t.Run(fmt.Sprintf("in place %v", inPlace), func(t *testing.T) {
			source := writeSample(t, walsendertest.Sample{Unlogged: true})
			grow(t, source, 200)
			dir, _ := copyOf(t)
			o := client.Options{ConnConfig: serve(t, source, &walsender.Server{}), Dir: dir, Jobs: 2, NoSync: true, NoVerifyChecksums: true}
			first, err := client.Backup(t.Context(), o)
			must(t, err)

			// An unchanged cluster: next to nothing is sent.
			o.Refresh, o.InPlace = true, inPlace
			inode := inodeOf(t, filepath.Join(dir, bigRelation))
			again, err := client.Backup(t.Context(), o)
			must(t, err)
			if again.FetchedBytes > first.Bytes/10 || again.KeptBytes+again.FetchedBytes != first.Bytes || again.Bytes != first.Bytes {
				t.Errorf("%d bytes of %d were fetched, %d kept", again.FetchedBytes, first.Bytes, again.KeptBytes)
			}
			if inPlace && inodeOf(t, filepath.Join(dir, bigRelation)) != inode {
				t.Error("a file that was kept is another one")
			}
			checkRefreshed(t, o)

			// Of a relation the block that differs, of the copy the bit that was flipped.
			overwrite(t, filepath.Join(source, bigRelation), 50*8192+17, "changed")
			overwrite(t, filepath.Join(dir, bigRelation), 150*8192+17, "damaged")
			overwrite(t, filepath.Join(dir, "base/5/20000"), 0, "damaged")
			must(t, os.Truncate(filepath.Join(source, bigRelation), 190*8192))
			must(t, os.WriteFile(filepath.Join(source, "base/5/90001"), make([]byte, 8192), 0o600))
			must(t, os.Remove(filepath.Join(source, "base/5/20000_vm")))
			last, err := client.Backup(t.Context(), o)
			must(t, err)
			if last.RemovedFiles != 1 {
				t.Errorf("%d files removed, want 1", last.RemovedFiles)
			}
			if low, high := int64(3*8192), int64(first.Bytes/2); last.FetchedBytes < low || last.FetchedBytes > high {
				t.Errorf("%d bytes fetched of %d", last.FetchedBytes, first.Bytes)
			}
			checkRefreshed(t, o)
		})
	}
}

func inodeOf(t testing.TB, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return uint64(info.Sys().(*syscall.Stat_t).Ino)
}

// A backup that is refreshed beside itself is what it was until the switch.
func TestRefresh_8_3_OldBackupStays(t *testing.T) {
	source := writeSample(t, walsendertest.Sample{})
	grow(t, source, 100)
	dir, _ := copyOf(t)
	o := client.Options{ConnConfig: serve(t, source, &walsender.Server{}), Dir: dir, NoSync: true, NoVerifyChecksums: true}
	_, err := client.Backup(t.Context(), o)
	must(t, err)
	overwrite(t, filepath.Join(source, bigRelation), 0, "changed")
	before := contents(t, dir)
	o.Refresh = true
	seen := false
	o.OnStep(func(step string) {
		if step == "switch" {
			seen = true
			if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
				t.Errorf("the old backup has changed: %s", diff)
			}
		}
	})
	_, err = client.Backup(t.Context(), o)
	must(t, err)
	if !seen {
		t.Error("nobody looked")
	}
	checkRefreshed(t, o)
}

// contents are all files of a directory, without links.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	mustBe(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = string(content)
		return err
	}))
	return files
}

func TestRefresh_Refused(t *testing.T) {
	source, other := writeSample(t, walsendertest.Sample{}), writeSample(t, walsendertest.Sample{SystemID: 4711})
	config, otherConfig := serve(t, source, &walsender.Server{}), serve(t, other, &walsender.Server{})
	for name, c := range map[string]struct {
		change func(dir string, o *client.Options)
		want   string
	}{
		"server runs":           {func(dir string, _ *client.Options) { touch(t, dir, "postmaster.pid") }, `a server was started from it`},
		"server ran":            {func(dir string, _ *client.Options) { touch(t, dir, "postmaster.opts") }, `a server was started from it`},
		"pg_control":            {func(dir string, _ *client.Options) { overwrite(t, filepath.Join(dir, "global/pg_control"), 40, "x") }, `pg_control is not as the manifest has it`},
		"no manifest":           {func(dir string, _ *client.Options) { must(t, os.Remove(filepath.Join(dir, "backup_manifest"))) }, "there is no backup_manifest"},
		"somebody's file":       {func(dir string, _ *client.Options) { touch(t, dir, "README.important") }, "README.important"},
		"somebody's file below": {func(dir string, _ *client.Options) { touch(t, dir, "base/foreign") }, `base/foreign" is not in its manifest`},
		"another cluster's":     {func(_ string, o *client.Options) { o.ConnConfig = otherConfig }, "is of another cluster: its system identifier is"},
		"a data directory": {func(dir string, _ *client.Options) {
			must(t, os.RemoveAll(dir))
			must(t, os.CopyFS(dir, os.DirFS(source)))
		}, "could not parse backup manifest"},
		"archives":            {func(_ string, o *client.Options) { o.Archive = &client.ArchiveOptions{} }, "needs a backup in plain format"},
		"force":               {func(_ string, o *client.Options) { o.Force = true }, "incompatible options"},
		"in place of nothing": {func(_ string, o *client.Options) { o.Refresh, o.InPlace = false, true }, "InPlace needs Refresh"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := copyOf(t)
			o := client.Options{ConnConfig: config, Dir: dir, NoSync: true}
			_, err := client.Backup(t.Context(), o)
			must(t, err)
			for _, inPlace := range []bool{false, true} {
				o.Refresh, o.InPlace = true, inPlace
				c.change(dir, &o)
				before := contents(t, dir)
				_, err = client.Backup(t.Context(), o)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("in place %v: error is %v, want %s", inPlace, err, c.want)
				}
				if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
					t.Errorf("something has changed: %s", diff)
				}
				if name == "pg_control" || name == "no manifest" {
					break // cannot be done twice
				}
			}
		})
	}
}

func touch(t *testing.T, dir, name string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
}

// A server that is started from the old backup meanwhile is noticed at the switch, and loses
// nothing; and the new backup is none.
func TestRefresh_StartedMeanwhile(t *testing.T) {
	for _, at := range []string{"stop backup", "write manifest", "switch"} {
		t.Run(at, func(t *testing.T) { checkStartedMeanwhile(t, at) })
	}
}

func checkStartedMeanwhile(t *testing.T, at string) {
	t.Helper()
	source := writeSample(t, walsendertest.Sample{})
	dir, _ := copyOf(t)
	o := client.Options{ConnConfig: serve(t, source, &walsender.Server{}), Dir: dir, NoSync: true}
	_, err := client.Backup(t.Context(), o)
	must(t, err)
	o.Refresh = true
	o.OnStep(func(step string) {
		switch {
		case step == at && at == "switch":
			overwrite(t, filepath.Join(dir, "global/pg_control"), 40, "x") // and the server has ended
		case step == at:
			touch(t, dir, "postmaster.pid")
		}
	})
	_, err = client.Backup(t.Context(), o)
	if !errors.Is(err, client.ErrStarted) {
		t.Errorf("error is %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "global/pg_control")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir+besideDir, "global/pg_control")); err == nil {
		t.Error("the new backup could be started from")
	}
}

// Whatever the copy and the cluster have become, a refresh makes the copy what the cluster is.
func TestRefresh_8_3_AnyStates_Long(t *testing.T) {
	longtest.Mark(t)
	checks := flag.Lookup("rapid.checks").Value.String()
	few := "12"
	if longtest.Whole() {
		few = "100"
	}
	must(t, flag.Set("rapid.checks", few))
	defer func() { must(t, flag.Set("rapid.checks", checks)) }()
	source := writeSample(t, walsendertest.Sample{SmallFiles: 20})
	config := serve(t, source, &walsender.Server{MaxWALSenders: 1000})
	rapid.Check(t, func(rt *rapid.T) {
		parent, err := os.MkdirTemp(t.TempDir(), "")
		must(t, err)
		defer os.RemoveAll(parent)
		o := client.Options{ConnConfig: config, Dir: filepath.Join(parent, "copy"), Jobs: rapid.IntRange(1, 3).Draw(rt, "jobs"), NoSync: true, NoVerifyChecksums: true}
		grow(t, source, rapid.IntRange(20, 60).Draw(rt, "pages"))
		_, err = client.Backup(t.Context(), o)
		must(t, err)
		for range rapid.IntRange(0, 6).Draw(rt, "changes of the cluster") {
			change(rt, t, source, true)
		}
		interrupted := rapid.Bool().Draw(rt, "interrupted")
		if interrupted {
			must(t, os.WriteFile(filepath.Join(o.Dir, "pgparallel.incomplete"), nil, 0o600))
			interrupt(t, o.Dir)
		}
		for range rapid.IntRange(0, 6).Draw(rt, "changes of the copy") {
			change(rt, t, o.Dir, interrupted) // in a finished one a file is refused that it has not written
		}
		o.Refresh, o.InPlace = true, rapid.Bool().Draw(rt, "in place")
		o.NoSync, o.SyncMethod = rapid.IntRange(0, 3).Draw(rt, "sync") > 0, client.SyncFsync
		_, err = client.Backup(t.Context(), o)
		must(t, err)
		checkRefreshed(t, o)
	})
}

// interrupt makes a finished backup what a kill before its release leaves.
func interrupt(t testing.TB, dir string) {
	t.Helper()
	held := filepath.Join(dir, "global/pg_control")
	mustBe(t, os.Rename(held, held+".incomplete"))
	mustBe(t, os.Remove(filepath.Join(dir, "pgparallel.incomplete")))
	mustBe(t, os.Rename(filepath.Join(dir, "backup_manifest"), filepath.Join(dir, "backup_manifest.tmp")))
}

// change changes a file below base, or removes one, or with creates makes one.
func change(rt *rapid.T, t testing.TB, dir string, creates bool) {
	t.Helper()
	var files []string
	mustBe(t, filepath.WalkDir(filepath.Join(dir, "base/5"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() != "PG_VERSION" && !strings.HasPrefix(e.Name(), "pg_filenode") {
			files = append(files, path)
		}
		return err
	}))
	slices.Sort(files)
	path := rapid.SampledFrom(files).Draw(rt, "file")
	if rapid.Bool().Draw(rt, "the large one") {
		path = filepath.Join(dir, bigRelation)
	}
	info, err := os.Stat(path)
	if err != nil {
		return // it was removed
	}
	switch size := info.Size(); rapid.SampledFrom([]string{"write", "write", "truncate", "extend", "remove", "create", "another inode"}).Draw(rt, "how") {
	case "write":
		if size > 0 {
			overwrite(t, path, rapid.Int64Range(0, size-1).Draw(rt, "at")/2, "X")
		}
	case "truncate":
		mustBe(t, os.Truncate(path, size/2/8192*8192))
	case "extend":
		mustBe(t, os.Truncate(path, (size+8192*3)/8192*8192))
	case "remove":
		mustBe(t, os.Remove(path))
	case "create":
		if !creates {
			return
		}
		mustBe(t, os.WriteFile(filepath.Join(dir, "base/5", fmt.Sprint(rapid.IntRange(70000, 70003).Draw(rt, "number"))), bytes.Repeat([]byte("x"), 8192*40), 0o600))
	case "another inode":
		content, err := os.ReadFile(path)
		mustBe(t, err)
		mustBe(t, os.Remove(path))
		mustBe(t, os.WriteFile(path, content, 0o600))
	}
}

// A server that tells no digests is refused, and all stays as it is.
func TestRefresh_8_3_ServerWithoutDigests(t *testing.T) {
	cluster := &walsendertest.Cluster{}
	server := &walsendertest.Server{Cluster: cluster, Faults: []walsendertest.Fault{walsendertest.Announced("progress")}}
	server.StartTest(t)
	config, err := server.ConnConfig()
	must(t, err)
	dir, _ := copyOf(t)
	o := client.Options{ConnConfig: config, Dir: dir, NoSync: true}
	_, err = client.Backup(t.Context(), o)
	must(t, err)
	before := contents(t, dir)
	for _, inPlace := range []bool{false, true} {
		o.Refresh, o.InPlace = true, inPlace
		_, err = client.Backup(t.Context(), o)
		expectCode(t, err, protocol.CodeFeatureNotSupported)
		if err == nil || !strings.Contains(err.Error(), "server does not tell the digests of its files") {
			t.Errorf("in place %v: error is %v", inPlace, err)
		}
		if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
			t.Errorf("in place %v: something has changed: %s", inPlace, diff)
		}
		if _, err := os.Lstat(dir + besideDir); err == nil {
			t.Errorf("in place %v: something is left beside", inPlace)
		}
	}
}

// What an interrupted refresh has left beside the old backup shares files with it. The one that takes
// it up changes none of them.
func TestRefresh_8_3_SharedFilesStay(t *testing.T) {
	source := writeSample(t, walsendertest.Sample{})
	grow(t, source, 100)
	dir, _ := copyOf(t)
	o := client.Options{ConnConfig: serve(t, source, &walsender.Server{MaxWALSenders: 20}), Dir: dir, NoSync: true, NoVerifyChecksums: true}
	_, err := client.Backup(t.Context(), o)
	must(t, err)
	before := contents(t, dir)
	o.Refresh, o.NoClean = true, true
	interrupted, interruption := context.WithCancel(t.Context())
	o.OnStep(func(step string) {
		if step == "stop backup" {
			interruption()
		}
	})
	if _, err := client.Backup(interrupted, o); err == nil {
		t.Fatal("it was not interrupted")
	}
	if _, err := os.Stat(filepath.Join(dir+besideDir, bigRelation)); err != nil {
		t.Fatalf("nothing was kept: %v", err)
	}
	overwrite(t, filepath.Join(source, bigRelation), 50*8192, "changed")
	o.OnStep(func(step string) {
		if step == "switch" {
			if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
				t.Error("the old backup has changed")
			}
		}
	})
	_, err = client.Backup(t.Context(), o)
	must(t, err)
	checkRefreshed(t, o)
}

// A refresh in place that ends ahead of its first change leaves nothing, in none of the directories;
// one that succeeds leaves no older WAL.
func TestRefresh_5_6_InPlaceInSeveralDirectories(t *testing.T) {
	base := t.TempDir()
	location, space, wal := filepath.Join(base, "location"), filepath.Join(base, "space"), filepath.Join(base, "wal")
	source := writeSample(t, walsendertest.Sample{Tablespaces: []walsendertest.SampleTablespace{{OID: 16400, Location: location}}})
	o := client.Options{
		ConnConfig: serve(t, source, &walsender.Server{MaxWALSenders: 20}), Dir: filepath.Join(base, "copy"), NoSync: true,
		WAL: client.WALOptions{Dir: wal}, TablespaceMap: map[string]string{location: space},
	}
	_, err := client.Backup(t.Context(), o)
	must(t, err)
	older := "0000000100000000000000FE"
	touch(t, wal, older)
	before := contents(t, base)
	o.Refresh, o.InPlace = true, true
	interrupted, interruption := context.WithCancel(t.Context())
	o.OnStep(func(step string) {
		if step == "start backup" {
			interruption()
		}
	})
	if _, err := client.Backup(interrupted, o); err == nil {
		t.Fatal("it was not interrupted")
	}
	if diff := cmp.Diff(before, contents(t, base)); diff != "" {
		t.Errorf("something has changed: %s", diff)
	}
	o.OnStep(nil)
	result, err := client.Backup(t.Context(), o)
	must(t, err)
	if result.RemovedFiles != 0 {
		t.Errorf("%d files removed, want none", result.RemovedFiles)
	}
	if _, err := os.Lstat(filepath.Join(wal, older)); err == nil {
		t.Error("WAL of the older backup is there")
	}
	report, err := client.Verify(t.Context(), o.Dir, client.VerifyOptions{})
	must(t, err)
	if len(report.Problems) > 0 {
		t.Errorf("problems: %v", report.Problems)
	}
}
