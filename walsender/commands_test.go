package walsender_test

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender"
)

// TestCommands_9 leaves families of commands out: what is in none of them is answered in any
// case, and a client is told of this protocol only where it is there.
func TestCommands_9(t *testing.T) {
	const unknown = "ErrorResponse ERROR 0A000 unrecognized replication command "
	for name, tt := range map[string]struct {
		commands walsender.CommandFamilies
		unknown  []string
		parallel bool
	}{
		"all":                    {0, nil, true},
		"parallel backup":        {walsender.ParallelBackup, []string{"BASE_BACKUP"}, true},
		"base backup":            {walsender.BaseBackup, []string{"LIST_FILES", "START_BACKUP", "SEND_FILE"}, false},
		"both of them, by names": {walsender.ParallelBackup | walsender.BaseBackup, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, &walsender.Server{Cluster: smallCluster(), Commands: tt.commands})
			greeting := rawDial(t, addr).startup(backupParameters)
			announced := slices.ContainsFunc(greeting, func(line string) bool { return strings.Contains(line, "parallel_backup_protocol") })
			if announced != tt.parallel {
				t.Errorf("announced: %v, in %q", announced, greeting)
			}
			for verb, text := range map[string]string{
				"IDENTIFY_SYSTEM": "IDENTIFY_SYSTEM", "SHOW": "SHOW server_version", "LIST_FILES": "LIST_FILES",
				"SEND_FILE": "SEND_FILE ('nosuch')", "BASE_BACKUP": "BASE_BACKUP", "START_BACKUP": "START_BACKUP",
			} {
				got := connect(t, addr, "backup").query(text)
				if refused := got[0] == unknown+`"`+verb+`"`; refused != slices.Contains(tt.unknown, verb) {
					t.Errorf("%s: %s", text, got[0])
				}
			}
		})
	}
}

// smallCluster is a cluster whose files are few bytes.
func smallCluster() *memCluster {
	c := newMemCluster()
	delete(c.files, "base/1/big")
	return c
}

// TestBaseBackup_9_1_OneEntry has a BASE_BACKUP in the table while it runs, and out of it when
// it has ended, well or not.
func TestBaseBackup_9_1_OneEntry(t *testing.T) {
	cluster := smallCluster()
	cluster.stopGate = make(chan struct{})
	ended := make(chan walsender.BackupEnd, 1)
	server := &walsender.Server{Cluster: cluster, BackupEnded: func(e walsender.BackupEnd) { ended <- e }}
	addr := serve(t, server)
	c := connect(t, addr, "backup")
	c.Send("BASE_BACKUP (LABEL 'seen', MAX_RATE 1048576, PROGRESS)")
	cluster.expect(t, "stop") // reached by the third file of three
	running := server.Backups.Backups()
	if len(running) != 1 || running[0].Label != "seen" || running[0].Owner != "backup" || running[0].MaxRate != 1048576 {
		t.Fatalf("in the table: %+v", running)
	}
	close(cluster.stopGate)
	if got := c.answer(); got[len(got)-2] != "CommandComplete BASE_BACKUP" {
		t.Fatalf("answer: %q", got)
	}
	e := <-ended
	if e.Err != nil || e.FilesSent != 3 || e.BytesTotal == 0 || e.BytesSent < e.BytesTotal {
		t.Errorf("ended: %+v", e)
	}
	if left := server.Backups.Backups(); len(left) != 0 {
		t.Errorf("left in the table: %+v", left)
	}
	// The session goes on, and its next backup is one like the first.
	if got := c.query("BASE_BACKUP"); got[len(got)-2] != "CommandComplete BASE_BACKUP" {
		t.Errorf("the second: %q", got)
	}
	<-ended
}

// TestBaseBackup_9_1_ClientGone ends the backup with its client.
func TestBaseBackup_9_1_ClientGone(t *testing.T) {
	cluster := newMemCluster()
	ended := make(chan walsender.BackupEnd, 1)
	server := &walsender.Server{Cluster: cluster, BackupEnded: func(e walsender.BackupEnd) { ended <- e }}
	c := connect(t, serve(t, server), "backup")
	c.Send("BASE_BACKUP (MAX_RATE 32)")
	for !strings.HasPrefix(c.message(), "CopyData") {
	}
	c.Conn.Close()
	cluster.expect(t, "aborted")
	if e := <-ended; e.Err == nil {
		t.Errorf("ended: %+v", e)
	}
}

// TestBaseBackup_1_3_Cancel cancels a backup that its rate holds back, and takes another one
// in the same session.
func TestBaseBackup_1_3_Cancel(t *testing.T) {
	cluster := newMemCluster()
	addr := serve(t, &walsender.Server{Cluster: cluster})
	c := connect(t, addr, "backup")
	c.Send("BASE_BACKUP (MAX_RATE 32)")
	for !strings.HasPrefix(c.message(), "CopyData") {
	}
	rawDial(t, addr).Write(wire.CancelRequest{ProcessID: c.Key.ProcessID, SecretKey: c.Key.SecretKey}.Encode(nil))
	got := c.answer()
	wantAnswer(t, got[len(got)-2:], "ErrorResponse ERROR 57014 canceling statement due to user request", ready)
	cluster.expect(t, "aborted")
	delete(cluster.files, "base/1/big")
	if got := c.query("BASE_BACKUP"); got[len(got)-2] != "CommandComplete BASE_BACKUP" {
		t.Errorf("the second: %q", got)
	}
}

// TestIdentifySystem_4_9 tells positions as the cluster's version does.
func TestIdentifySystem_4_9(t *testing.T) {
	for major, want := range map[int]string{18: "0/2000100", 19: "0/02000100"} {
		cluster := newMemCluster()
		cluster.major = major
		got := connect(t, serve(t, &walsender.Server{Cluster: cluster}), "backup").query("IDENTIFY_SYSTEM")
		if position := value(t, got, 2); position != want {
			t.Errorf("%d: %s, want %s", major, position, want)
		}
	}
}

// TestBaseBackup_9_1_Vanished fails where a file vanishes that no recovery brings back.
func TestBaseBackup_9_1_Vanished(t *testing.T) {
	cluster := smallCluster()
	c := connect(t, serve(t, &walsender.Server{Cluster: &vanishing{cluster}}), "backup")
	got := c.query("BASE_BACKUP")
	const want = `ErrorResponse ERROR 55000 the cluster changed during the backup: file "base/1/100" vanished or became shorter`
	if !strings.HasPrefix(got[len(got)-2], want) {
		t.Errorf("answer ends with %q, want %q", got[len(got)-2:], want)
	}
}

// vanishing is a cluster of which a file vanishes between its listing and its turn.
type vanishing struct{ *memCluster }

func (v *vanishing) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	if name == "base/1/100" {
		return nil, fs.ErrNotExist
	}
	return v.memCluster.Open(ctx, name, o)
}

// TestBaseBackup_9_1_NoTablespaces is given a list without the data directory.
func TestBaseBackup_9_1_NoTablespaces(t *testing.T) {
	c := connect(t, serve(t, &walsender.Server{Cluster: nowhere{smallCluster()}}), "backup")
	wantAnswer(t, c.query("BASE_BACKUP"), "ErrorResponse ERROR XX000 internal error of the server, see its log", ready)
}

// nowhere is a cluster without a data directory.
type nowhere struct{ *memCluster }

func (nowhere) Tablespaces(context.Context, bool) ([]protocol.Tablespace, error) { return nil, nil }
