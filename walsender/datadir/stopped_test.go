package datadir_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

var (
	_ walsender.Cluster   = (*datadir.Stopped)(nil)
	_ walsender.WALLister = (*datadir.Stopped)(nil)
	_ walsender.Historian = (*datadir.Stopped)(nil)
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sample writes a sample cluster and opens it.
func sample(t testing.TB, s walsendertest.Sample, o datadir.Options) (*datadir.Stopped, string) {
	t.Helper()
	s.WALSegmentSize = 1 << 20
	dir := filepath.Join(t.TempDir(), "data")
	must(t, s.Write(dir))
	return open(t, dir, o), dir
}

func open(t testing.TB, dir string, o datadir.Options) *datadir.Stopped {
	t.Helper()
	c, err := datadir.Open(dir, o)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

func request(notices *[]string) protocol.BackupRequest {
	return protocol.BackupRequest{Label: "nightly", Notice: func(e *protocol.Error) {
		if notices != nil {
			*notices = append(*notices, e.Severity+" "+e.Message)
		}
	}}
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	e, ok := err.(*protocol.Error)
	if !ok || e.Code != code {
		t.Errorf("error %v, want %s", err, code)
	} else if code == protocol.CodeObjectNotInPrerequisite && e.Hint == "" {
		t.Errorf("%v has no hint", err)
	}
}

const (
	redo = 2<<20 + 40 // of the samples
	end  = redo + 120 // of their WAL
)

func TestStopped_4_1_ShutDown(t *testing.T) {
	c, _ := sample(t, walsendertest.Sample{}, datadir.Options{})
	var notices []string
	start, backup, err := c.StartBackup(t.Context(), request(&notices))
	must(t, err)
	if diff := cmp.Diff(protocol.StartPoint{StartPtr: redo, Timeline: 1}, start); diff != "" {
		t.Errorf("start (-want +got):\n%s", diff)
	}
	if inRecovery, err := c.InRecovery(t.Context()); err != nil || inRecovery {
		t.Errorf("in recovery: %v, %v", inRecovery, err)
	}
	stop, err := backup.Stop(t.Context(), true, nil)
	must(t, err)
	if diff := cmp.Diff(protocol.BackupStop{StartPtr: redo, Timeline: 1, StopPtr: end, StopTimeline: 1}, stop); diff != "" {
		t.Errorf("stop (-want +got):\n%s", diff)
	}
	if notices != nil {
		t.Errorf("notices %q", notices)
	}
	system, err := c.Identify(t.Context())
	must(t, err)
	if diff := cmp.Diff(protocol.System{SystemID: 7300000000000000001, Timeline: 1, XLogPos: end, Redo: redo}, system); diff != "" {
		t.Errorf("system (-want +got):\n%s", diff)
	}
}

// The state of a standby that was shut down is not enough: a label would make a
// cluster look consistent that is not.
func TestStopped_4_1_ShutDownBeforeConsistency(t *testing.T) {
	for name, change := range map[string]func(*controlfile.Control){
		"primary stopped in crash recovery":  func(c *controlfile.Control) { c.MinRecoveryPoint, c.MinRecoveryTimeline = 0, 0 },
		"restored, backup's end not reached": func(c *controlfile.Control) { c.BackupStartPoint = redo },
		"restored, backup's end required":    func(c *controlfile.Control) { c.BackupEndRequired = true },
	} {
		t.Run(name, func(t *testing.T) {
			_, dir := sample(t, walsendertest.Sample{State: controlfile.StateShutDownInRecovery}, datadir.Options{})
			path := filepath.Join(dir, "global/pg_control")
			data, err := os.ReadFile(path)
			must(t, err)
			control, err := controlfile.Decode(data)
			must(t, err)
			change(&control)
			must(t, os.WriteFile(path, control.Encode(), 0o600))

			_, _, err = open(t, dir, datadir.Options{}).StartBackup(t.Context(), request(nil))
			wantCode(t, err, protocol.CodeObjectNotInPrerequisite)

			crashed := open(t, dir, datadir.Options{Crashed: true})
			_, backup, err := crashed.StartBackup(t.Context(), request(nil))
			must(t, err)
			stop, err := backup.Stop(t.Context(), true, nil)
			must(t, err)
			if stop.Label != "" || stop.StopPtr != 0 {
				t.Errorf("with --crashed: label %q, end %v; want neither", stop.Label, stop.StopPtr)
			}
		})
	}
}

func TestStopped_4_1_Standby(t *testing.T) {
	c, _ := sample(t, walsendertest.Sample{State: controlfile.StateShutDownInRecovery, Timeline: 3}, datadir.Options{})
	start, backup, err := c.StartBackup(t.Context(), request(nil))
	must(t, err)
	stop, err := backup.Stop(t.Context(), true, nil)
	must(t, err)
	if start.Label != stop.Label {
		t.Error("the label changed")
	}
	label, err := protocol.ParseBackupLabel(stop.Label)
	must(t, err)
	label.StartTime = ""
	want := protocol.BackupLabel{
		StartPtr: redo, WALFile: "000000030000000000000002", Checkpoint: redo, Method: "streamed", From: "standby", Label: "nightly", StartTimeline: 3,
	}
	if diff := cmp.Diff(want, label); diff != "" {
		t.Errorf("label (-want +got):\n%s", diff)
	}
	stop.Label = ""
	if diff := cmp.Diff(protocol.BackupStop{StartPtr: redo, Timeline: 3, StopPtr: end, StopTimeline: 3}, stop); diff != "" {
		t.Errorf("stop (-want +got):\n%s", diff)
	}
	if inRecovery, err := c.InRecovery(t.Context()); err != nil || !inRecovery {
		t.Errorf("in recovery: %v, %v", inRecovery, err)
	}
}

func TestStopped_4_1_OtherStates(t *testing.T) {
	for _, state := range []controlfile.State{
		controlfile.StateShuttingDown, controlfile.StateInCrashRecovery, controlfile.StateInArchiveRecovery, controlfile.StateInProduction,
	} {
		c, dir := sample(t, walsendertest.Sample{State: state}, datadir.Options{})
		_, _, err := c.StartBackup(t.Context(), request(nil))
		wantCode(t, err, protocol.CodeObjectNotInPrerequisite)

		crashed := open(t, dir, datadir.Options{Crashed: true})
		start, backup, err := crashed.StartBackup(t.Context(), request(nil))
		must(t, err)
		stop, err := backup.Stop(t.Context(), false, nil)
		must(t, err)
		if start.Label != "" || stop.Label != "" || stop.StopPtr != 0 || stop.StartPtr != redo || stop.StopTimeline != 1 {
			t.Errorf("%v: stop %+v", state, stop)
		}
	}
}

func TestStopped_4_1_Refused(t *testing.T) {
	for _, state := range []controlfile.State{controlfile.StateShutDown, controlfile.StateShutDownInRecovery} {
		for _, name := range []string{"postmaster.pid", "backup_label"} {
			c, dir := sample(t, walsendertest.Sample{State: state}, datadir.Options{})
			must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
			_, _, err := c.StartBackup(t.Context(), request(nil))
			wantCode(t, err, protocol.CodeObjectNotInPrerequisite)
		}
		c, dir := sample(t, walsendertest.Sample{State: state}, datadir.Options{})
		must(t, os.Remove(dir+"/pg_wal/000000010000000000000002"))
		_, _, err := c.StartBackup(t.Context(), request(nil))
		wantCode(t, err, protocol.CodeUndefinedFile)
		if _, err := c.Identify(t.Context()); err != nil {
			t.Errorf("IDENTIFY_SYSTEM without WAL: %v", err)
		}
	}
}

func TestStopped_4_1_Changed(t *testing.T) {
	for what, change := range map[string]func(dir string) error{
		"server started": func(dir string) error { return os.WriteFile(dir+"/postmaster.pid", nil, 0o600) },
		"started and stopped": func(dir string) error {
			data, err := os.ReadFile(dir + "/global/pg_control")
			if err != nil {
				return err
			}
			control, err := controlfile.Decode(data)
			control.Time = control.Time.Add(1e9)
			if err != nil {
				return err
			}
			return os.WriteFile(dir+"/global/pg_control", control.Encode(), 0o600)
		},
		"started, stopped and rolled back": func(dir string) error {
			data, err := os.ReadFile(dir + "/global/pg_control")
			if err != nil {
				return err
			}
			return os.WriteFile(dir+"/global/pg_control", data, 0o600)
		},
		"rolled back with its times": func(dir string) error {
			control := dir + "/global/pg_control"
			info, err := os.Stat(control)
			if err != nil {
				return err
			}
			data, err := os.ReadFile(control)
			if err != nil {
				return err
			}
			if err := os.Remove(control); err != nil {
				return err
			}
			if err := os.WriteFile(control, data, 0o600); err != nil {
				return err
			}
			return os.Chtimes(control, info.ModTime(), info.ModTime())
		},
		"replaced": func(dir string) error {
			if err := os.Rename(dir, dir+".old"); err != nil {
				return err
			}
			return os.CopyFS(dir, os.DirFS(dir+".old"))
		},
		"moved away": func(dir string) error { return os.Rename(dir, dir+".old") },
	} {
		c, dir := sample(t, walsendertest.Sample{}, datadir.Options{})
		_, backup, err := c.StartBackup(t.Context(), request(nil))
		must(t, err)
		must(t, change(dir))
		_, err = backup.Stop(t.Context(), true, nil)
		t.Log(what)
		wantCode(t, err, protocol.CodeObjectNotInPrerequisite)
	}
}

// Backups run beside each other: what ends one is nothing to the others.
func TestStopped_SeveralBackups(t *testing.T) {
	c, _ := sample(t, walsendertest.Sample{}, datadir.Options{})
	var backups []protocol.RunningBackup
	for range 3 {
		_, b, err := c.StartBackup(t.Context(), request(nil))
		must(t, err)
		backups = append(backups, b)
	}
	backups[1].Abort()
	backups[1].Abort()
	for _, i := range []int{0, 2} {
		if _, err := backups[i].Stop(t.Context(), true, nil); err != nil {
			t.Errorf("stopping backup %d: %v", i, err)
		}
	}
}

func TestStopped_4_6_BlockSize(t *testing.T) {
	c, dir := sample(t, walsendertest.Sample{}, datadir.Options{})
	data, err := os.ReadFile(dir + "/global/pg_control")
	must(t, err)
	control, err := controlfile.Decode(data)
	must(t, err)
	control.BlockSize = 16384
	must(t, os.WriteFile(dir+"/global/pg_control", control.Encode(), 0o600))
	var notices []string
	_, _, err = c.StartBackup(t.Context(), request(&notices))
	must(t, err)
	if diff := cmp.Diff([]string{"WARNING page checksums are not verified: the cluster's block size is 16384 bytes, not 8192"}, notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

func TestStopped_Settings(t *testing.T) {
	for _, group := range []bool{false, true} {
		c, dir := sample(t, walsendertest.Sample{GroupAccess: group, NoChecksums: group, State: controlfile.StateShutDownInRecovery}, datadir.Options{})
		got, err := c.Settings(t.Context())
		must(t, err)
		want := protocol.Settings{
			ServerVersion: "15.0", ServerVersionNum: 150000, WALSegmentSize: 1 << 20, BlockSize: 8192,
			DataChecksums: !group, DataDirectoryMode: 0o700, InHotStandby: true, WALLevel: "replica",
		}
		if group {
			want.DataDirectoryMode = 0o750
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("settings (-want +got):\n%s", diff)
		}
		if again := open(t, dir, datadir.Options{}); again.Directory() != c.Directory() || !strings.HasSuffix(c.Directory(), ":7300000000000000001") {
			t.Errorf("names %s and %s", c.Directory(), again.Directory())
		}
	}
}
