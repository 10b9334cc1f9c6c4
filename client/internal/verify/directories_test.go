package verify_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/verify"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// The directories that no manifest lists, and that a server needs, are those without which one does
// not start from a backup, or not live until the end of its first checkpoint. In a whole run all of
// every major are tried.
func TestRun_NeededDirectories_Long(t *testing.T) {
	longtest.Mark(t)
	for _, major := range postgres.Majors() {
		if major == 15 || longtest.Whole() {
			t.Run(fmt.Sprint(major), func(t *testing.T) { testNeededDirectories(t, postgres.RequireMajor(t, major)) })
		}
	}
}

func testNeededDirectories(t *testing.T, p postgres.Programs) {
	source := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	must(t, source.Start(t.Context()))
	if !p.Has("pg_basebackup") {
		t.Skip("there is no pg_basebackup of this version")
	}
	taken := filepath.Join(p.TempDir(t), "backup")
	_, err := p.Run(t.Context(), "pg_basebackup", "-D", taken, "-d", source.ConnString("postgres"), "-c", "fast", "--no-sync")
	must(t, err)
	must(t, source.Stop(t.Context(), postgres.Immediate))
	needed := protocol.EmptyDirectories(p.Major)
	for _, dir := range []string{
		"pg_notify", "pg_twophase", "pg_serial",
		"pg_commit_ts", "pg_dynshmem", "pg_logical/mappings", "pg_logical/snapshots", "pg_replslot", "pg_snapshots", "pg_stat",
		"pg_stat_tmp", "pg_subtrans", "pg_tblspc", "pg_wal/archive_status",
	} {
		if dir == "pg_commit_ts" && !longtest.Whole() {
			break
		}
		t.Run(dir, func(t *testing.T) {
			copied := filepath.Join(p.TempDir(t), "copy")
			if out, err := exec.Command("cp", "-a", taken, copied).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			must(t, os.Remove(filepath.Join(copied, dir)))
			report, err := verify.Run(t.Context(), copied, verify.Config{Expect: ignore, Done: ignore})
			must(t, err)
			c := p.OpenCluster(t, copied)
			err = c.Start(t.Context())
			if err == nil {
				_, err = c.SQL(t.Context(), "postgres", "checkpoint")
			}
			isNeeded := slices.Contains(needed, dir)
			if (err != nil) != isNeeded || (len(report.Problems) == 1) != isNeeded {
				t.Errorf("the server: %v; the verification: %v; needed: %v", err, report.Problems, isNeeded)
			}
		})
	}
}
