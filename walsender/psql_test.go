package walsender_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender"
)

func TestPsql_1_4_Replication(t *testing.T) {
	k := newTalk(t, serveSample(t))
	for _, tt := range []struct{ replication, want string }{
		{"true", "1MB\n"},
		{"on", "1MB\n"},
		{"1", "1MB\n"},
		{"database", "1MB\n"},
		{"false", "psql: error: $server FATAL:  only replication connections are supported\nHINT:  Connect with \"replication=true\".\n"},
		{"yes please", "psql: error: $server FATAL:  invalid value for parameter \"replication\": \"yes please\"\nHINT:  Valid values are: \"false\", 0, \"true\", 1, \"database\".\n"},
	} {
		got := k.once(strings.Replace(k.conninfo(), "=true", "='"+tt.replication+"'", 1), "SHOW wal_segment_size")
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("replication=%s (-want +got):\n%s", tt.replication, diff)
		}
	}
}

func TestPsql_1_8_MaxWALSenders(t *testing.T) {
	k := newTalk(t, serve(t, &walsender.Server{Cluster: sampleCluster(t), MaxWALSenders: 1}))
	k.check(`
A> SHOW max_wal_senders
max_wal_senders
1
B> SHOW max_wal_senders
psql: error: $server FATAL:  number of requested standby connections exceeds max_wal_senders (currently 1)
psql has ended
`)
}

func TestPsql_1_9_Shutdown(t *testing.T) {
	server := &walsender.Server{Cluster: sampleCluster(t)}
	k := newTalk(t, serve(t, server))
	k.check(`
A> START_BACKUP LABEL 'it ends'
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
`)
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := k.say("A", "STOP_BACKUP")[0]; got != "FATAL:  57P01: terminating connection due to administrator command\n" {
		t.Errorf("psql prints %q", got)
	}
}

func TestPsql_2_Grammar(t *testing.T) {
	newTalk(t, serveSample(t)).check(`
A> identify_system
systemid|timeline|xlogpos|dbname
7000000000000000001|1|0/2000A0|NULL
A> Show Wal_Segment_Size
wal_segment_size
1MB
A> START_BACKUP FAST LABEL 'it''s' MAX_RATE 1048576
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
A> STOP_BACKUP
startptr|tli|backup_label|stopptr|stoptli
0/200028|1|NULL|0/2000A0|1
A> START_BACKUP LABEL
ERROR:  42601: syntax error at or near ";"
LINE 1: START_BACKUP LABEL;
                          ^
A> START_BACKUP FAST LABEL 'x' FAST
ERROR:  42601: duplicate option "FAST"
LINE 1: START_BACKUP FAST LABEL 'x' FAST;
                                    ^
A> START_BACKUP MAX_RATE 31
ERROR:  22003: 31 is outside the valid range for parameter "MAX_RATE" (32 .. 1048576)
LINE 1: START_BACKUP MAX_RATE 31;
                              ^
A> START_BACKUP LABEL x
ERROR:  42601: syntax error at or near "x"
LINE 1: START_BACKUP LABEL x;
                           ^
A> SEND_FILE base/1/1
ERROR:  42601: syntax error at or near "base"
LINE 1: SEND_FILE base/1/1;
                  ^
A> SEND_FILE ('base/1/1') NOVERIFY
ERROR:  42601: syntax error at or near "NOVERIFY"
LINE 1: SEND_FILE ('base/1/1') NOVERIFY;
                               ^
A> JOIN_BACKUP
ERROR:  42601: syntax error at or near ";"
LINE 1: JOIN_BACKUP;
                   ^
A> LIST_FILES PROGRESS
ERROR:  42601: syntax error at or near "PROGRESS"
LINE 1: LIST_FILES PROGRESS;
                   ^
A> LIST_WAL_FILES START_WAL_LOCATION '0/X'
ERROR:  22P02: could not parse write-ahead log location "0/X"
LINE 1: LIST_WAL_FILES START_WAL_LOCATION '0/X';
                                          ^
A> LIST_WAL_FILES END_WAL_LOCATION '0/1' END_WAL_LOCATION '0/1'
ERROR:  42601: duplicate option "END_WAL_LOCATION"
LINE 1: LIST_WAL_FILES END_WAL_LOCATION '0/1' END_WAL_LOCATION '0/1'...
                                              ^
A> UPLOAD_MANIFEST
ERROR:  0A000: unrecognized replication command "UPLOAD_MANIFEST"
A> select 1
ERROR:  0A000: unrecognized replication command "select"
`)
}

func TestPsql_3_1_Sessions(t *testing.T) {
	newTalk(t, serveSample(t)).check(`
A> STOP_BACKUP
ERROR:  55000: no backup is in progress in this session
HINT:  Use START_BACKUP or JOIN_BACKUP first.
A> SEND_FILE ('PG_VERSION')
ERROR:  55000: no backup is in progress in this session
HINT:  Use START_BACKUP or JOIN_BACKUP first.
A> START_BACKUP LABEL 'nightly'
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
A> START_BACKUP
ERROR:  55000: a backup is already in progress in this session
B> JOIN_BACKUP '$id'
JOIN_BACKUP
B> JOIN_BACKUP '$id'
ERROR:  55000: a backup is already in progress in this session
B> START_BACKUP
ERROR:  55000: a backup is already in progress in this session
B> STOP_BACKUP
ERROR:  55000: only the session that started the backup can stop it
B> LIST_TABLESPACES
spcoid|spclocation|size
16385|pg_tblspc/16385|NULL
NULL|NULL|NULL
B> SEND_FILE ('PG_VERSION')
15
A> STOP_BACKUP
startptr|tli|backup_label|stopptr|stoptli
0/200028|1|NULL|0/2000A0|1
B> SEND_FILE ('PG_VERSION')
ERROR:  55000: backup "$id8" has ended
B> START_BACKUP
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
`)
}

// Two backups may run at once; they have nothing to do with each other.
func TestPsql_3_2_TwoBackups(t *testing.T) {
	newTalk(t, serveSample(t)).check(`
A> START_BACKUP LABEL 'one'
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
B> JOIN_BACKUP '$id'
JOIN_BACKUP
C> START_BACKUP LABEL 'two'
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
D> JOIN_BACKUP '$id'
JOIN_BACKUP
A> STOP_BACKUP
startptr|tli|backup_label|stopptr|stoptli
0/200028|1|NULL|0/2000A0|1
B> SEND_FILE ('PG_VERSION')
ERROR:  55000: backup "$id(1)8" has ended
D> SEND_FILE ('PG_VERSION')
15
C> STOP_BACKUP
startptr|tli|backup_label|stopptr|stoptli
0/200028|1|NULL|0/2000A0|1
`)
}

func TestPsql_3_4_MaxConcurrentBackups(t *testing.T) {
	newTalk(t, serve(t, &walsender.Server{Cluster: sampleCluster(t), Backups: sharedstate.NewTable(1)})).check(`
A> START_BACKUP
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
B> START_BACKUP
ERROR:  53400: too many concurrent backups (max_concurrent_backups is 1)
HINT:  Wait for one of them to end, or raise max_concurrent_backups.
A> STOP_BACKUP
startptr|tli|backup_label|stopptr|stoptli
0/200028|1|NULL|0/2000A0|1
B> START_BACKUP
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
`)
}

// The leader goes away: the backup is aborted.
func TestPsql_3_5_LeaderGone(t *testing.T) {
	k := newTalk(t, serveSample(t))
	k.check(`
A> START_BACKUP LABEL 'lost'
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
B> JOIN_BACKUP '$id'
JOIN_BACKUP
B> SEND_FILE ('PG_VERSION')
15
A> \q
psql has ended
`)
	deadline := time.Now().Add(patience)
	for k.say("B", "SEND_FILE ('PG_VERSION')")[0] == "15\n" && time.Now().Before(deadline) {
	}
	k.check(`
B> STOP_BACKUP
ERROR:  55000: backup "$id8" was aborted
C> JOIN_BACKUP '$id'
ERROR:  42704: backup "$id8" does not exist
`)
}

// A session that has joined may go away, and another take its place.
func TestPsql_3_6_WorkerGone(t *testing.T) {
	newTalk(t, serveSample(t)).check(`
A> START_BACKUP
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
B> JOIN_BACKUP '$id'
JOIN_BACKUP
B> \q
psql has ended
C> JOIN_BACKUP '$id'
JOIN_BACKUP
C> SEND_FILE ('PG_VERSION')
15
A> STOP_BACKUP
startptr|tli|backup_label|stopptr|stoptli
0/200028|1|NULL|0/2000A0|1
`)
}

// STOP_BACKUP is refused while a file is under way, and may be repeated. Ctrl-C ends
// the file, and psql.
func TestPsql_3_7_StopWhileSending(t *testing.T) {
	k := newTalk(t, serveSample(t))
	k.check(`
A> START_BACKUP MAX_RATE 32
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
B> JOIN_BACKUP '$id'
JOIN_BACKUP
`)
	b := k.sessions["B"]
	b.begin("SEND_FILE ('base/1/20000')")
	if _, err := b.out.Peek(1); err != nil {
		t.Fatal(err)
	}
	k.check(`
A> STOP_BACKUP
ERROR:  55006: backup "$id8" is in use by 1 SEND_FILE command
`)
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	printed := b.end()
	if _, message, _ := strings.Cut(printed, "ERROR:"); message != "  57014: canceling statement due to user request\npsql has ended\n" {
		t.Errorf("psql prints at the end %q", message)
	}
	k.check(`
A> STOP_BACKUP
startptr|tli|backup_label|stopptr|stoptli
0/200028|1|NULL|0/2000A0|1
`)
}

// The WAL of a backup can be had after its end, in any session.
func TestPsql_3_9_WALAfterTheEnd(t *testing.T) {
	newTalk(t, serveSample(t)).check(`
A> START_BACKUP
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
A> STOP_BACKUP
startptr|tli|backup_label|stopptr|stoptli
0/200028|1|NULL|0/2000A0|1
A> LIST_WAL_FILES START_WAL_LOCATION '0/200028' END_WAL_LOCATION '0/2000A0'
path|type|size|mtime
pg_wal/000000010000000000000002|f|1048576|1767323045
A> SEND_FILE ('pg_wal/000000010000000000000002') \g /dev/null
SEND_FILE
B> SEND_FILE ('pg_wal/000000010000000000000002') \g /dev/null
SEND_FILE
B> SEND_FILE ('PG_VERSION')
ERROR:  55000: no backup is in progress in this session
HINT:  Use START_BACKUP or JOIN_BACKUP first.
`)
}

func TestPsql_5_1_LifeCycle(t *testing.T) {
	newTalk(t, serveSample(t)).check(`
A> LIST_TABLESPACES PROGRESS
spcoid|spclocation|size
16385|pg_tblspc/16385|576
NULL|NULL|706
A> START_BACKUP LABEL 'by hand' FAST
startptr|tli|backup_label|unique_backup_id
0/200028|1|NULL|$id
B> JOIN_BACKUP '$id'
JOIN_BACKUP
C> JOIN_BACKUP '$id'
JOIN_BACKUP
A> LIST_TABLESPACES
spcoid|spclocation|size
16385|pg_tblspc/16385|NULL
NULL|NULL|NULL
A> LIST_FILES \g /dev/null
A> LIST_FILES '16385' \g /dev/null
B> SEND_FILE ('PG_VERSION')
15
C> SEND_FILE ('base/1/PG_VERSION')
15
B> SEND_FILE ('base/1/20000') \g /dev/null
SEND_FILE
C> SEND_FILE ('pg_tblspc/16385/PG_15_202209061/1/20000') NOVERIFY_CHECKSUMS \g /dev/null
SEND_FILE
A> SEND_FILE ('global/pg_control') \g /dev/null
SEND_FILE
A> STOP_BACKUP NOWAIT
startptr|tli|backup_label|stopptr|stoptli
0/200028|1|NULL|0/2000A0|1
A> LIST_WAL_FILES START_WAL_LOCATION '0/200028' END_WAL_LOCATION '0/2000A0'
path|type|size|mtime
pg_wal/000000010000000000000002|f|1048576|1767323045
B> SEND_FILE ('pg_wal/000000010000000000000002') \g /dev/null
SEND_FILE
B> SEND_FILE ('PG_VERSION')
ERROR:  55000: backup "$id8" has ended
`)
}

// A whole backup in one session, by psql's option -c.
func TestPsql_5_1_CommandLine(t *testing.T) {
	k := newTalk(t, serveSample(t))
	got := k.once(k.conninfo(),
		"LIST_TABLESPACES",
		"START_BACKUP LABEL 'by hand' FAST",
		"SEND_FILE ('PG_VERSION')",
		"STOP_BACKUP NOWAIT",
		"LIST_WAL_FILES START_WAL_LOCATION '0/200028' END_WAL_LOCATION '0/2000A0'")
	want := `
16385|pg_tblspc/16385|NULL
NULL|NULL|NULL
0/200028|1|NULL|$id
15
0/200028|1|NULL|0/2000A0|1
pg_wal/000000010000000000000002|f|1048576|1767323045
`
	if diff := cmp.Diff(want[1:], got); diff != "" {
		t.Errorf("psql (-want +got):\n%s", diff)
	}
}
