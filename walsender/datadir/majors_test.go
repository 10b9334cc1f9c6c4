package datadir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// pg_controldata is the oracle for pg_control, of a cluster in several states.
func TestMajor_Control(t *testing.T) {
	testControl(t, postgres.Require(t))
}

// TestMajors_Control_Long is TestMajor_controlfile.Control for all versions.
func TestMajors_Control_Long(t *testing.T) {
	longtest.Mark(t)
	for _, major := range postgres.Majors() {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			testControl(t, postgres.RequireMajor(t, major))
		})
	}
}

func testControl(t *testing.T, p postgres.Programs) {
	ctx := t.Context()
	primary := p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1})
	compareControl(t, primary)
	must(t, primary.Start(ctx))
	compareControl(t, primary)
	if p.Has("pg_basebackup") {
		standby := primary.NewStandby(t)
		must(t, standby.Start(ctx))
		must(t, standby.Stop(ctx, postgres.Fast))
		compareControl(t, standby)
		must(t, standby.Start(ctx))
		must(t, standby.Promote(ctx))
		sql(t, standby, "checkpoint")
		compareControl(t, standby)
		must(t, standby.Stop(ctx, postgres.Immediate))
		compareControl(t, standby)
	}
	if p.Has("pg_checksums") {
		must(t, primary.Stop(ctx, postgres.Fast))
		_, err := p.Run(ctx, "pg_checksums", "--disable", "--no-sync", "-D", primary.Dir)
		must(t, err)
		compareControl(t, primary)
	}
}

// No cluster has another value in every field. A file that Encode makes has: what
// pg_controldata reads there, controlfile.Decode reads by the same table.
func TestMajors_ControlFields(t *testing.T) {
	for _, major := range postgres.Majors() {
		t.Run(fmt.Sprint(major), func(t *testing.T) { testControlFields(t, postgres.RequireMajor(t, major)) })
	}
}

func testControlFields(t *testing.T, p postgres.Programs) {
	dir := p.TempDir(t)
	control := controlfile.Control{
		SystemID: 7300000000000000001, Version: map[int]uint32{17: 1700, 18: 1800, 19: 1905}[p.Major], CatalogVersion: 202700001,
		State: controlfile.StateInArchiveRecovery, Time: time.Unix(1800000000, 0),
		Checkpoint: 0x1_1000_0028, Redo: 0x1_0F00_0060, Timeline: 5, PrevTimeline: 4, FullPageWrites: true,
		MinRecoveryPoint: 0x2_0200_0001, MinRecoveryTimeline: 6,
		BackupStartPoint: 0x3_0300_0002, BackupEndPoint: 0x4_0400_0003, BackupEndRequired: true,
		WALLevel: 2, BlockSize: 4096, RelSegSize: 65536, WALBlockSize: 16384, WALSegmentSize: 1 << 21, DataChecksumVersion: 7,
	}
	must(t, os.Mkdir(filepath.Join(dir, "global"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "global/pg_control"), control.Encode(), 0o644))
	decoded, err := controlfile.Decode(control.Encode())
	must(t, err)
	cluster := p.OpenCluster(t, dir)
	compareFields(t, cluster, decoded)
	oracle, err := cluster.ControlData(t.Context())
	must(t, err)
	build := map[string]string{
		"Maximum data alignment":        "8",
		"Maximum length of identifiers": "64",
		"Maximum columns in an index":   "32",
		"Maximum size of a TOAST chunk": "1996",
		"Size of a large-object chunk":  "2048",
		"Float8 argument passing":       "by value",
	}
	if p.Major >= 18 {
		build["Default char data signedness"] = "signed"
	}
	if p.Major >= 19 {
		build["Pages per SLRU segment"] = "32"
	}
	for label, want := range build {
		if oracle[label] != want {
			t.Errorf("%s is %q to pg_controldata, want %q", label, oracle[label], want)
		}
	}
}

func compareControl(t *testing.T, c *postgres.Cluster) {
	t.Helper()
	d, err := datadir.OpenDir(c.Dir, datadir.DirOptions{})
	must(t, err)
	defer d.Close()
	control, err := d.Control(t.Context())
	must(t, err)
	compareFields(t, c, control)
}

// compareFields compares what was decoded with what pg_controldata says.
func compareFields(t *testing.T, c *postgres.Cluster, got controlfile.Control) {
	t.Helper()
	oracle, err := c.ControlData(t.Context())
	must(t, err)
	on := map[bool]string{false: "off", true: "on"}
	yes := map[bool]string{false: "no", true: "yes"}
	for label, value := range map[string]any{
		"pg_control version number":            got.Version,
		"Catalog version number":               got.CatalogVersion,
		"Database system identifier":           got.SystemID,
		"Database cluster state":               got.State,
		"Latest checkpoint's TimeLineID":       got.Timeline,
		"Latest checkpoint's PrevTimeLineID":   got.PrevTimeline,
		"Latest checkpoint's full_page_writes": on[got.FullPageWrites],
		"Min recovery ending loc's timeline":   got.MinRecoveryTimeline,
		"End-of-backup record required":        yes[got.BackupEndRequired],
		"wal_level setting":                    []string{"minimal", "replica", "logical"}[got.WALLevel],
		"Database block size":                  got.BlockSize,
		"Blocks per segment of large relation": got.RelSegSize,
		"WAL block size":                       got.WALBlockSize,
		"Bytes per WAL segment":                got.WALSegmentSize,
		"Data page checksum version":           got.DataChecksumVersion,
		"Latest checkpoint's REDO WAL file":    protocol.WALFileName(got.Timeline, got.Redo, int64(got.WALSegmentSize)),
	} {
		if text := fmt.Sprint(value); text != oracle[label] {
			t.Errorf("%s is %q, pg_controldata says %q", label, text, oracle[label])
		}
	}
	for label, lsn := range map[string]protocol.LSN{
		"Latest checkpoint location":        got.Checkpoint,
		"Latest checkpoint's REDO location": got.Redo,
		"Minimum recovery ending location":  got.MinRecoveryPoint,
		"Backup start location":             got.BackupStartPoint,
		"Backup end location":               got.BackupEndPoint,
	} {
		if text := lsn.Text(c.Programs.Major); text != oracle[label] {
			t.Errorf("%s is %q, pg_controldata says %q", label, text, oracle[label])
		}
	}
}
