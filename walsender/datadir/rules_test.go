package datadir

import (
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
)

// The rules of the facts about base backups, path by path, through the function
// that opening goes by. The listing goes by the same rules.
func TestRules_4_5(t *testing.T) {
	const temporary = "pgsql_tmp"
	included := []string{
		"PG_VERSION", "postgresql.conf", "postgresql.auto.conf", "recovery.signal", "standby.signal", "backup_label.old",
		"tablespace_map.old", "log/postgresql.log", "core", "global/1262", "global/pg_filenode.map", "base/5/16384",
		"base/5/16384_init", "base/5/PG_VERSION", "base/5/t3x", "base/pgsql", "base/5/sub/t3_16384", "global/t3_16384", "t3_16384",
		"current_logfiles", "pg_replslot", "pg_wal", "pg_stat_tmp", "pg_xact/0000", "pg_multixact/members/0000",
		"pg_tblspc/16400", "pg_tblspc/16400/PG_15_202209061/5/16384", "pg_tblspc/16400/PG_15_202209061", "pg_tblspc/name/file",
		"pg_internal", "x/postmaster", "pg_replslot2/x",
	}
	excluded := []string{
		".DS_Store", "x/.DS_Store", "postgresql.auto.conf.tmp", "current_logfiles.tmp", "backup_label", "tablespace_map", "backup_manifest",
		"postmaster.pid", "postmaster.opts", "x/y/postmaster.pid", "base/" + temporary, "base/pgsql_tmp123.4", "base/5/pgsql_tmp_x",
		"base/pgsql_tmp/x", "global/pg_internal.init", "base/5/pg_internal.init.123", "pg_internal.initial",
		"pg_replslot/slot/state", "pg_dynshmem/x", "pg_notify/0000", "pg_serial/0000", "pg_snapshots/x", "pg_subtrans/0000", "pg_stat_tmp/x",
		"x/pg_notify/0000", "base/5/t3_16384", "base/5/t3_16384_fsm.1", "pg_tblspc/16400/PG_15_202209061/5/t3_16384",
		"pg_tblspc/16400/PG_14_202107181/5/16384", "pg_tblspc/16400/other", "pg_tblspc/16400/PG_15_202209061/pgsql_tmp/pgsql_tmp1.0",
	}
	r := newRules(15, validControl())
	check := func(path string, want bool) {
		t.Helper()
		err := new(resolvedPath).judge(r, path)
		switch {
		case want && err != nil:
			t.Errorf("%s: %v", path, err)
		case !want && !protocol.HasCode(err, protocol.CodeInsufficientPrivilege):
			t.Errorf("%s: error %v, want 42501", path, err)
		}
	}
	for _, path := range included {
		check(path, true)
	}
	for _, path := range excluded {
		check(path, false)
	}
}

func TestRules_Versions(t *testing.T) {
	for major, want := range map[int]bool{13: false, 16: false, 17: true, 18: true} {
		r := newRules(major, validControl())
		if got := r.mayBeUnlogged(inGlobal); got != want {
			t.Errorf("PostgreSQL %d: unlogged relations in global: %v", major, got)
		}
		if got := r.judgeWAL("summaries") == keepEmpty; got != want {
			t.Errorf("PostgreSQL %d: pg_wal/summaries: %v", major, got)
		}
	}
}
