package client

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	pgwire "github.com/pgparallel/pgparallel/protocol/wire"
)

func TestBackup_5_1_Order(t *testing.T) {
	f := newFake(t)
	dir := filepath.Join(t.TempDir(), "parent", "copy")
	result, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Label: "it's", FastCheckpoint: true, MaxRate: 64})
	must(t, err)
	want := Result{
		SystemID: 7, StartPtr: 0x100028, Timeline: 1, StopPtr: 0x200000, StopTimeline: 1, HasLabel: true,
		Files: 7, Bytes: 4 + 3 + 8192 + 8192 + 512 + 15, WALFiles: 1,
	}
	want.Bytes = 0
	for _, content := range f.files {
		want.Bytes += int64(len(content))
	}
	want.FetchedFiles, want.FetchedBytes = want.Files, want.Bytes
	if diff := cmp.Diff(want, result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	leader := []string{
		"SHOW data_directory_mode", "SHOW wal_segment_size", "SHOW server_version_num", "IDENTIFY_SYSTEM",
		"LIST_TABLESPACES", "START_BACKUP LABEL 'it''s' FAST MAX_RATE 64", "LIST_TABLESPACES", "LIST_FILES",
		"SEND_FILE ('global/pg_control')", "LIST_FILES", "STOP_BACKUP NOWAIT", "LIST_TABLESPACES", "LIST_FILES",
		"LIST_WAL_FILES START_WAL_LOCATION '0/100028' END_WAL_LOCATION '0/200000'",
	}
	if diff := cmp.Diff(leader, f.commands(0)); diff != "" {
		t.Errorf("commands of the leader (-want +got):\n%s", diff)
	}
	worker := []string{
		"JOIN_BACKUP '" + fakeID + "'",
		"SEND_FILE ('base/1/16384')", "SEND_FILE ('global/pg_filenode.map')", "SEND_FILE ('postgresql.conf')",
		"SEND_FILE ('PG_VERSION')", "SEND_FILE ('base/1/PG_VERSION')", "SEND_FILE ('base/1/16385')",
		"SEND_FILE ('pg_wal/000000010000000000000001')",
	}
	if diff := cmp.Diff(worker, f.commands(1)); diff != "" {
		t.Errorf("commands of the worker (-want +got):\n%s", diff)
	}
	all := f.commands(-1)
	control := slices.Index(all, "SEND_FILE ('global/pg_control')")
	for i, command := range all {
		if strings.HasPrefix(command, "SEND_FILE") && !strings.Contains(command, "pg_wal") && i > control {
			t.Errorf("%s comes after the control file (§4.8)", command)
		}
	}
}

func TestBackup_Files(t *testing.T) {
	f := newFake(t)
	dir := filepath.Join(t.TempDir(), "copy")
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Jobs: 3})
	must(t, err)
	want := map[string]bool{
		".": true, "base": true, "base/1": true, "global": true,
		"backup_label": true, "backup_manifest": true,
		"pg_wal/000000010000000000000001": true, "pg_wal/archive_status/000000010000000000000001.done": true,
	}
	for _, name := range emptyDirectories {
		want[name] = true
	}
	for name, content := range f.files {
		want[name] = true
		if got := read(t, dir, name); got != content {
			t.Errorf("%s has %d bytes of other content", name, len(got))
		}
	}
	got := map[string]bool{}
	for name := range outputtest.Tree(t, dir) {
		got[name] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names in the target (-want +got):\n%s", diff)
	}
	if got := read(t, dir, output.LabelFile); got != f.stop.Label {
		t.Errorf("backup_label is %q, want the one of STOP_BACKUP", got)
	}
	report, err := Verify(t.Context(), dir, VerifyOptions{})
	must(t, err)
	if len(report.Problems) != 0 {
		t.Errorf("problems: %v", report.Problems)
	}
}

// A backup with any number of jobs has the same manifest, and the workers share the
// files.
func TestBackup_Jobs(t *testing.T) {
	f := newFake(t)
	for i := range 300 {
		f.files[fmt.Sprintf("base/1/%d", 20000+i)] = strings.Repeat("z", i*50)
	}
	var manifests [2]string
	for i, jobs := range []int{1, 16} {
		dir := filepath.Join(t.TempDir(), "copy")
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Jobs: jobs, Manifest: ManifestOptions{Checksums: manifest.ChecksumSHA256}})
		must(t, err)
		manifests[i] = read(t, dir, output.ManifestFile)
	}
	if diff := cmp.Diff(manifests[0], manifests[1]); diff != "" {
		t.Errorf("the manifest depends on the number of jobs (-1 +16):\n%s", diff)
	}
	if f.dialed() != 2+17 {
		t.Errorf("%d connections for a backup with 1 job and one with 16, want 19", f.dialed())
	}
}

func TestBackup_5_10_Modes(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for mode, want := range map[string][2]string{"0700": {"drwx------", "-rw-------"}, "0750": {"drwxr-x---", "-rw-r-----"}} {
		f := newFake(t)
		f.mode = mode
		dir := filepath.Join(t.TempDir(), "copy")
		must(t, os.Mkdir(dir, 0o755)) // an empty one is taken
		must(t, os.Chmod(dir, 0o755))
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir})
		must(t, err)
		for name, what := range outputtest.Tree(t, dir) {
			got, _, isFile := strings.Cut(what, " ")
			if wanted := want[0]; !isFile && got != wanted || isFile && got != want[1] {
				t.Errorf("data_directory_mode %s: %s has mode %s", mode, name, got)
			}
		}
	}
}

func TestBackup_5_7_Checksums(t *testing.T) {
	f := newFake(t)
	f.query = func(s *fakeSession, command string) bool {
		if !strings.HasPrefix(command, "STOP_BACKUP") {
			return false
		}
		s.sendRows(protocol.BackupStopColumns(), s.stop.Row())
		s.send(pgwire.NoticeResponse(protocol.Warningf("3 checksum verification failures")),
			pgwire.ErrorResponse(protocol.Errorf(protocol.CodeDataCorrupted, "checksum verification failure during base backup")))
		s.ready()
		return true
	}
	dir := filepath.Join(t.TempDir(), "copy")
	var warnings []string
	result, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Log: func(e Event) {
		if e.Level == LevelWarning {
			warnings = append(warnings, e.Message)
		}
	}})
	if !errors.Is(err, ErrChecksum) || !protocol.HasCode(err, protocol.CodeDataCorrupted) {
		t.Errorf("error is %v", err)
	}
	if result.Files != int64(len(f.files)) || len(warnings) != 1 {
		t.Errorf("result is %+v, warnings %q", result, warnings)
	}
	for _, name := range []string{output.LabelFile, output.ManifestFile, output.ControlFile, "pg_wal/000000010000000000000001"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// Without the row there is no label, and no backup.
func TestBackup_5_7_ChecksumsWithoutRow(t *testing.T) {
	f := newFake(t)
	f.failOn("STOP_BACKUP", protocol.CodeDataCorrupted)
	expectFailure(t, Options{ConnConfig: f.config()}, "could not stop backup")
}

func TestBackup_Label_4_1(t *testing.T) {
	f := newFake(t)
	f.stop.Label = ""
	f.start.Label = "not this one"
	dir := filepath.Join(t.TempDir(), "copy")
	result, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir})
	must(t, err)
	if _, err := os.Lstat(filepath.Join(dir, output.LabelFile)); !errors.Is(err, os.ErrNotExist) || result.HasLabel {
		t.Errorf("there is a label where STOP_BACKUP gave none (%v)", err)
	}
}

func TestBackup_5_11_WALNone(t *testing.T) {
	for _, label := range []string{fakeLabel(0x100028, 1), ""} {
		f := newFake(t)
		f.stop.Label = label
		dir := filepath.Join(t.TempDir(), "copy")
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, WAL: WALOptions{Method: WALNone}})
		must(t, err)
		_, err = os.Stat(filepath.Join(dir, "pg_wal/000000010000000000000001"))
		if label != "" && err == nil {
			t.Error("WAL was copied that was not asked for")
		}
		if label == "" && err != nil {
			t.Errorf("the copy cannot start: %v", err)
		}
		if !slices.Contains(f.commands(0), "STOP_BACKUP") {
			t.Error("the server was told not to wait for its archive")
		}
	}
}

func TestBackup_CrashedCluster(t *testing.T) {
	f := newFake(t)
	f.stop.Label, f.stop.StopPtr = "", 0
	f.wal[protocol.WALFileName(1, 0x200000, fakeSegment)] = strings.Repeat("x", fakeSegment) // behind the end
	dir := filepath.Join(t.TempDir(), "copy")
	result, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir})
	must(t, err)
	if result.WALFiles != 2 || !slices.Contains(f.commands(0), "LIST_WAL_FILES START_WAL_LOCATION '0/100028'") {
		t.Errorf("%d WAL files, commands %q", result.WALFiles, f.commands(0))
	}
	// Nobody knows where its recovery will end, and go on writing, nor what it has archived.
	if status := namesIn(t, filepath.Join(dir, "pg_wal/archive_status")); len(status) > 0 {
		t.Errorf("segments are marked: %q", status)
	}
	if manifest := read(t, dir, output.ManifestFile); !strings.Contains(manifest, "\"WAL-Ranges\": [\n\n]") {
		t.Errorf("the manifest names WAL whose end is not known:\n%s", manifest)
	}
}

func TestBackup_Options(t *testing.T) {
	f := newFake(t)
	dir := filepath.Join(t.TempDir(), "copy")
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Manifest: ManifestOptions{Omit: true}, NoVerifyChecksums: true, NoSync: true})
	must(t, err)
	if _, err := os.Stat(filepath.Join(dir, output.ManifestFile)); err == nil {
		t.Error("there is a manifest")
	}
	for _, command := range f.commands(-1) {
		verified := !strings.HasSuffix(command, " NOVERIFY_CHECKSUMS")
		if wal := strings.Contains(command, "pg_wal"); strings.HasPrefix(command, "SEND_FILE") && verified != wal {
			t.Error(command)
		}
	}
}

func TestBackup_Manifest(t *testing.T) {
	for version, want := range map[string]string{
		"150000": `"PostgreSQL-Backup-Manifest-Version": 1,`,
		"170004": `"PostgreSQL-Backup-Manifest-Version": 2,` + "\n" + `"System-Identifier": 7,`,
	} {
		f := newFake(t)
		f.version = version
		f.stop.StopTimeline = 2
		f.history = "1\t0/180000\tno recovery target specified\n"
		f.withWAL(fakeBranch(int(version[1]-'0')+10, 0x180000))
		f.wal["00000002.history"] = f.history
		dir := filepath.Join(t.TempDir(), "copy")
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir})
		must(t, err)
		written := read(t, dir, output.ManifestFile)
		if !strings.Contains(written, want) {
			t.Errorf("manifest for version %s:\n%s", version, written)
		}
		m, err := manifest.Read(strings.NewReader(written))
		must(t, err)
		wantRanges := []manifest.WALRange{{Timeline: 2, Start: 0x180000, End: 0x200000}, {Timeline: 1, Start: 0x100028, End: 0x180000}}
		if diff := cmp.Diff(wantRanges, m.WALRanges); diff != "" {
			t.Errorf("WAL ranges (-want +got):\n%s", diff)
		}
		var paths []string
		for _, file := range m.Files {
			paths = append(paths, file.Path)
		}
		wantPaths := []string{
			"PG_VERSION", "backup_label", "base/1/16384", "base/1/16385", "base/1/PG_VERSION", "global/pg_control", "global/pg_filenode.map",
			"pg_wal/00000002.history", "pg_wal/archive_status/000000010000000000000001.done",
			"pg_wal/archive_status/00000002.history.done", "pg_wal/archive_status/000000020000000000000001.done", "postgresql.conf",
		}
		if diff := cmp.Diff(wantPaths, paths); diff != "" {
			t.Errorf("paths (-want +got):\n%s", diff)
		}
	}
}
