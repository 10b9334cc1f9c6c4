package walsender_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func TestPsql_4_1_StartBackup(t *testing.T) {
	for _, tt := range []struct {
		state  controlfile.State
		script string
	}{
		{controlfile.StateShutDown, `
A> START_BACKUP
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
A> STOP_BACKUP NOWAIT
startptr|tli|backup_label|stopptr|stoptli
0/200028|1|NULL|0/2000A0|1
`},
		{controlfile.StateShutDownInRecovery, `
A> START_BACKUP LABEL 'of a standby' FAST
startptr|tli|backup_label|unique_backup_id
0/200028|1|START WAL LOCATION: 0/200028 (file 000000010000000000000002)
CHECKPOINT LOCATION: 0/200028
BACKUP METHOD: streamed
BACKUP FROM: standby
START TIME: $now
LABEL: of a standby
START TIMELINE: 1
|$id
A> STOP_BACKUP
ERROR:  55000: backup "$id8" has no global/pg_control yet that was sent after every other file
HINT:  Ask for global/pg_control, then stop the backup.
A> SEND_FILE ('global/pg_control') \g /dev/null
SEND_FILE
A> STOP_BACKUP
startptr|tli|backup_label|stopptr|stoptli
0/200028|1|START WAL LOCATION: 0/200028 (file 000000010000000000000002)
CHECKPOINT LOCATION: 0/200028
BACKUP METHOD: streamed
BACKUP FROM: standby
START TIME: $now
LABEL: of a standby
START TIMELINE: 1
|0/2000A0|1
`},
		{controlfile.StateInProduction, `
A> START_BACKUP
ERROR:  55000: the cluster was not shut down cleanly: its state is "in production"
HINT:  If its server runs, here or on another host, use --cluster. If it has crashed, start and stop it, or use --crashed when no server runs on this data directory.
A> STOP_BACKUP
ERROR:  55000: no backup is in progress in this session
HINT:  Use START_BACKUP or JOIN_BACKUP first.
`},
	} {
		t.Run(fmt.Sprint(tt.state), func(t *testing.T) {
			dir := writeSample(t, walsendertest.Sample{State: tt.state})
			newTalk(t, serve(t, &walsender.Server{Cluster: openCluster(t, dir)})).check(tt.script)
		})
	}
}

// The cluster is started in mid-backup.
func TestPsql_4_1_ClusterChanged(t *testing.T) {
	dir := writeSample(t, walsendertest.Sample{})
	k := newTalk(t, serve(t, &walsender.Server{Cluster: openCluster(t, dir)}))
	k.check(`
A> START_BACKUP
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
B> JOIN_BACKUP '$id'
JOIN_BACKUP
`)
	if err := os.WriteFile(filepath.Join(dir, "postmaster.pid"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.check(`
A> STOP_BACKUP
ERROR:  55000: the cluster changed during the backup: postmaster.pid appeared
HINT:  This means that the backup being taken is corrupt and should not be used. Keep the server stopped, or use --cluster, and take another backup.
B> SEND_FILE ('PG_VERSION')
ERROR:  55000: backup "$id8" was aborted
A> START_BACKUP
ERROR:  55000: the cluster is running, or has crashed: postmaster.pid exists
HINT:  Stop the server, or use --cluster to back up a running one. If it has crashed, or this is a snapshot of it, use --crashed when no server runs on this data directory.
`)
}

func TestPsql_4_2_JoinBackup(t *testing.T) {
	newTalk(t, serveSample(t)).check(`
A> START_BACKUP
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
B> JOIN_BACKUP '00000000000000000000000000000000'
ERROR:  42704: backup "00000000" does not exist
B> JOIN_BACKUP ''
ERROR:  42704: backup "" does not exist
B> JOIN_BACKUP '$id'
JOIN_BACKUP
C> \c - other
You are now connected to database "postgres" as user "other".
C> JOIN_BACKUP '$id'
ERROR:  42704: backup "$id8" does not exist
C> JOIN_BACKUP '1'
ERROR:  42704: backup "1" does not exist
C> JOIN_BACKUP '2'
ERROR:  42704: backup "2" does not exist
C> JOIN_BACKUP '3'
ERROR:  42704: backup "3" does not exist
C> JOIN_BACKUP '4'
FATAL:  42704: backup "4" does not exist
server closed the connection unexpectedly
	This probably means the server terminated abnormally
	before or while processing the request.
connection to server was lost
psql has ended
C> JOIN_BACKUP '5'
psql has ended
`)
}

// A damaged page: the row of STOP_BACKUP comes, and then the failure.
func TestPsql_4_3_ChecksumFailure(t *testing.T) {
	dir := writeSample(t, walsendertest.Sample{DamagedPages: []walsendertest.DamagedPage{{Path: "base/1/20000", Block: 2}}})
	newTalk(t, serve(t, &walsender.Server{Cluster: openCluster(t, dir)})).check(`
A> START_BACKUP
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
B> JOIN_BACKUP '$id'
JOIN_BACKUP
B> SEND_FILE ('base/1/20000') \g /dev/null
WARNING:  01000: checksum verification failed in file "./base/1/20000", block 2: calculated 75E1 but expected 6E6A
SEND_FILE
B> SEND_FILE ('base/1/20000') NOVERIFY_CHECKSUMS \g /dev/null
SEND_FILE
A> STOP_BACKUP
WARNING:  01000: 1 total checksum verification failures
startptr|tli|backup_label|stopptr|stoptli
0/200028|1|NULL|0/2000A0|1
ERROR:  XX001: checksum verification failure during base backup
A> STOP_BACKUP
ERROR:  55000: no backup is in progress in this session
HINT:  Use START_BACKUP or JOIN_BACKUP first.
`)
}

func TestPsql_4_4_ListTablespaces(t *testing.T) {
	newTalk(t, serveSample(t)).check(`
A> LIST_TABLESPACES
spcoid|spclocation|size
16385|pg_tblspc/16385|NULL
NULL|NULL|NULL
A> LIST_TABLESPACES PROGRESS
spcoid|spclocation|size
16385|pg_tblspc/16385|576
NULL|NULL|706
`)
}

func TestPsql_4_5_ListFiles(t *testing.T) {
	k := newTalk(t, serveSample(t))
	k.check(`
A> LIST_FILES '16385'
path|type|size|mtime
pg_tblspc/16385/PG_15_202209061/1/20000_fsm|f|24576|1767323045
pg_tblspc/16385/PG_15_202209061/1/20000_vm|f|8192|1767323045
pg_tblspc/16385/PG_15_202209061/1/20000|f|163840|1767323045
pg_tblspc/16385/PG_15_202209061/1|d|0|1767323045
pg_tblspc/16385/PG_15_202209061/4/20000_fsm|f|24576|1767323045
pg_tblspc/16385/PG_15_202209061/4/20000_vm|f|8192|1767323045
pg_tblspc/16385/PG_15_202209061/4/20000|f|163840|1767323045
pg_tblspc/16385/PG_15_202209061/4|d|0|1767323045
pg_tblspc/16385/PG_15_202209061/5/20000_fsm|f|24576|1767323045
pg_tblspc/16385/PG_15_202209061/5/20000_vm|f|8192|1767323045
pg_tblspc/16385/PG_15_202209061/5/20000|f|163840|1767323045
pg_tblspc/16385/PG_15_202209061/5|d|0|1767323045
pg_tblspc/16385/PG_15_202209061|d|0|1767323045
A> LIST_FILES '/no/such/place'
ERROR:  42704: tablespace "/no/such/place" does not exist
A> LIST_FILES '99999'
ERROR:  42704: tablespace "99999" does not exist
`)
	byOID, byLocation := k.once(k.conninfo(), "LIST_FILES '16385'"), k.once(k.conninfo(), "LIST_FILES 'pg_tblspc/16385'")
	if diff := cmp.Diff(byOID, byLocation); diff != "" {
		t.Errorf("a tablespace by its OID and by its location (-OID +location):\n%s", diff)
	}
	all := k.once(k.conninfo(), "LIST_FILES ''")
	for _, row := range []string{"\nPG_VERSION|f|3|1767323045\n", "\npg_wal/archive_status|d|0|1767323045\n", "\npg_tblspc/16385|d|0|1767323045\n"} {
		if !strings.Contains("\n"+all, row) {
			t.Errorf("the data directory lacks %q:\n%s", row, all)
		}
	}
	if !strings.HasSuffix(all, "\nglobal/pg_control|f|8192|1767323045\n") {
		t.Errorf("the last row is not pg_control's:\n%s", all)
	}
}

func TestPsql_4_6_SendFile(t *testing.T) {
	newTalk(t, serveSample(t)).check(`
A> START_BACKUP
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
A> SEND_FILE ('PG_VERSION')
15
A> SEND_FILE ('postgresql.conf')
# A sample: no server starts on this directory.
A> SEND_FILE ('pg_ident.conf')
A> SEND_FILE ('base')
ERROR:  42809: "base" is a directory
A> SEND_FILE ('base/1/99999')
ERROR:  58P01: could not open file "base/1/99999": No such file or directory
A> SEND_FILE ('/etc/passwd')
ERROR:  22023: invalid file path "/etc/passwd"
A> SEND_FILE ('')
ERROR:  22023: invalid file path ""
A> SEND_FILE ('base/../PG_VERSION')
ERROR:  22023: invalid file path "base/../PG_VERSION"
A> SEND_FILE ('./PG_VERSION')
ERROR:  22023: invalid file path "./PG_VERSION"
A> SEND_FILE ('base//1')
ERROR:  22023: invalid file path "base//1"
A> SEND_FILE ('postmaster.opts')
ERROR:  42501: file "postmaster.opts" is not part of a base backup
A> SEND_FILE ('global/pg_internal.init')
ERROR:  42501: file "global/pg_internal.init" is not part of a base backup
A> SEND_FILE ('base/1/t3_30001')
ERROR:  42501: file "base/1/t3_30001" is not part of a base backup
A> SEND_FILE ('pg_wal/0000000100000000000000FF')
ERROR:  58P01: requested WAL segment 0000000100000000000000FF has already been removed
`)
}

func TestPsql_4_7_ListWALFiles(t *testing.T) {
	newTalk(t, serveSample(t)).check(`
A> LIST_WAL_FILES
path|type|size|mtime
pg_wal/000000010000000000000001|f|1048576|1767323045
pg_wal/000000010000000000000002|f|1048576|1767323045
A> LIST_WAL_FILES START_WAL_LOCATION '0/200000'
path|type|size|mtime
pg_wal/000000010000000000000002|f|1048576|1767323045
A> LIST_WAL_FILES END_WAL_LOCATION '0/200000'
path|type|size|mtime
pg_wal/000000010000000000000001|f|1048576|1767323045
A> LIST_WAL_FILES START_WAL_LOCATION '0/100028' END_WAL_LOCATION 'F/0'
ERROR:  58P01: requested WAL segment 000000010000000000000003 has already been removed
A> LIST_WAL_FILES START_WAL_LOCATION '0/28' END_WAL_LOCATION '0/2000A0'
ERROR:  58P01: requested WAL segment 000000010000000000000000 has already been removed
A> LIST_WAL_FILES START_WAL_LOCATION '1/0' END_WAL_LOCATION '0/1'
ERROR:  22023: START_WAL_LOCATION 1/0 is after END_WAL_LOCATION 0/1
`)
}

func TestPsql_4_9_AnsweredByEveryServer(t *testing.T) {
	newTalk(t, serveSample(t)).check(`
A> IDENTIFY_SYSTEM
systemid|timeline|xlogpos|dbname
7000000000000000001|1|0/2000A0|NULL
A> SHOW data_directory_mode
data_directory_mode
0700
A> SHOW server_version_num
server_version_num
150000
A> SHOW data_checksums
data_checksums
on
A> SHOW block_size
block_size
8192
A> SHOW in_hot_standby
in_hot_standby
off
A> SHOW work_mem
ERROR:  42704: unrecognized configuration parameter "work_mem"
A> TIMELINE_HISTORY 2
ERROR:  58P01: could not open file "pg_wal/00000002.history": No such file or directory
A> CREATE_REPLICATION_SLOT x PHYSICAL
ERROR:  55000: cannot create a permanent replication slot in a cluster that does not run
HINT:  Nothing removes the write-ahead log of this cluster: do without a slot, use a temporary one, or create it once PostgreSQL runs.
`)
}
