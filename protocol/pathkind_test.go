package protocol

import (
	"strings"
	"testing"
)

func TestKindOfPath(t *testing.T) {
	for kind, paths := range map[PathKind]string{
		PathRelation: "base/5/16384 base/5/16384.1 base/5/16384_fsm base/5/16384_vm.2 base/5/16384_init base/1/2619 global/1260 global/1260_vm " +
			"pg_tblspc/16400/PG_15_202209061/5/16384 pg_tblspc/16400/PG_15_202209061/5/16384.7",
		PathSLRU: "pg_xact/0000 pg_xact/10AF pg_multixact/offsets/0000 pg_multixact/members/14078 pg_commit_ts/0001 " +
			"pg_multixact/members/00000000000000A",
		PathState: "base/5/PG_VERSION base/5/pg_filenode.map base/5/t3_16384 base/5/notes.txt base/5/16384x base/16384 base/x/16384 base/5/sub/16384 " +
			"global/config_exec_params global/016384 pg_tblspc/16400/PG_15_202209061/5/PG_VERSION pg_tblspc/16400/PG_15_202209061/16384 pg_tblspc/16400/16384 " +
			"pg_xact/notes pg_xact/00af pg_xact/000 pg_xact/0000000 pg_xact/sub/0000 pg_multixact/0000 pg_multixact/offsets/0000.tmp " +
			"pg_twophase/000002DB pg_logical/snapshots/0-1500A68.snap pg_logical/mappings/x pg_logical/replorigin_checkpoint.tmp pg_stat/pgstat.stat " +
			"conf.d/memory.conf extra.conf server.crt server.key tls/root.pem",
		PathPermanent: "PG_VERSION global/pg_control global/pg_filenode.map postgresql.conf postgresql.auto.conf pg_hba.conf pg_ident.conf " +
			"standby.signal recovery.signal pg_logical/replorigin_checkpoint",
		PathWAL:     "pg_wal/000000010000000000000001 pg_wal/archive_status/x",
		PathMapping: "pg_logical/mappings/map-5-4eb-0_1500A68-2db-2da",
		PathForeign: "log/postgresql.log log/16384 notes.txt core core.4711 current_logfiles backup_label.old 16384 0000 pg_xact pg_xactx/0000 " +
			"basement/5/16384 conf.d/readme",
	} {
		for _, path := range strings.Fields(paths) {
			if got := KindOfPath(path); got != kind {
				t.Errorf("%s is a %v, want %v", path, got, kind)
			}
		}
	}
}

// WAL replay makes up for what changed in relations and SLRUs, and in nothing else.
func TestPathKind_Replayed(t *testing.T) {
	for kind, want := range map[PathKind]bool{
		PathForeign: false, PathRelation: true, PathSLRU: true, PathMapping: true, PathWAL: false, PathState: false, PathPermanent: false,
	} {
		if kind.Replayed() != want {
			t.Errorf("%v: replayed is %v", kind, !want)
		}
	}
}
