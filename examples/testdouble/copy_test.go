package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// aFile is one that each sample has, of 81920 bytes.
const aFile = "base/5/20000"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// copyFrom copies what the server serves, and tells where to.
func copyFrom(ctx context.Context, t *testing.T, server *walsendertest.Server) (dir string, err error) {
	t.Helper()
	config, err := server.ConnConfig()
	must(t, err)
	dir = filepath.Join(t.TempDir(), "copy")
	return dir, copyCluster(ctx, config, dir)
}

// TestCopy compares the copy with the cluster, which there is on disk as well.
func TestCopy(t *testing.T) {
	for name, cluster := range map[string]*walsendertest.Cluster{
		"stopped": walsendertest.Primary(), "running": walsendertest.RunningPrimary(), "standby": walsendertest.Standby(),
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := copyFrom(t.Context(), t, walsendertest.NewServer(t, cluster))
			must(t, err)
			sample := cluster.Sample
			sample.WALSegmentSize = 1 << 20 // as a Cluster has it
			original := t.TempDir()
			must(t, sample.Write(original))
			files := 0
			must(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() || name == "backup_label" {
					return err
				}
				files++
				want, err := os.ReadFile(filepath.Join(original, name))
				must(t, err)
				got, err := os.ReadFile(filepath.Join(dir, name))
				must(t, err)
				if string(got) != string(want) {
					t.Errorf("%s is another", name)
				}
				return nil
			}))
			if files < 40 {
				t.Errorf("only %d files", files)
			}
			_, err = os.Stat(filepath.Join(dir, "backup_label"))
			if hasLabel := err == nil; hasLabel != (name != "stopped") {
				t.Errorf("backup_label: %v", err)
			}
		})
	}
}

// TestCopy_Faults: whatever goes wrong, the client says so and leaves nothing behind.
func TestCopy_Faults(t *testing.T) {
	failure := protocol.Errorf(protocol.CodeIOError, "could not read block 3")
	for _, fault := range []walsendertest.Fault{
		walsendertest.RefuseConnection(1, walsendertest.TooManySenders),
		walsendertest.CutFile(aFile, 1000),
		walsendertest.ResetFile(aFile, 1000),
		walsendertest.EOFWithoutCopyDone(aFile),
		walsendertest.ErrorInFile(aFile, 1000, failure),
		walsendertest.ErrorAfterCopyDone(aFile, failure),
		walsendertest.ShortFile(aFile, 1000),
		walsendertest.Vanished(aFile),
		walsendertest.ListedTwice(aFile),
		walsendertest.ListedRow("", protocol.File{Path: "../escaped", Type: protocol.TypeFile, ModTime: time.Unix(0, 0)}),
		walsendertest.Unlisted(controlFile),
		walsendertest.Vanished("pg_wal/000000010000000000000002"),
		walsendertest.Unlisted("pg_wal/000000010000000000000002"),
		walsendertest.TablespaceAppears(16500, "/srv/tablespace"),
		walsendertest.LateErrorAtStop(failure),
		walsendertest.StopFails(failure),
	} {
		t.Run(fault.String(), func(t *testing.T) {
			cluster := walsendertest.RunningPrimary()
			server := walsendertest.NewServer(t, cluster, fault)
			dir, err := copyFrom(t.Context(), t, server)
			if err == nil {
				t.Error("the client says success")
			}
			if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Error("the client leaves something behind")
			}
		})
	}
}

// TestCopy_Commands holds the client to the order of the protocol (§5.1).
func TestCopy_Commands(t *testing.T) {
	server := walsendertest.NewServer(t, walsendertest.Primary())
	_, err := copyFrom(t.Context(), t, server)
	must(t, err)
	must(t, server.Close()) // now the transcript is complete
	var other []string
	for _, command := range server.Transcript().Commands() {
		verb, _, _ := strings.Cut(command, " ")
		if verb != "SEND_FILE" || strings.Contains(command, controlFile) || strings.Contains(command, "pg_wal") {
			other = append(other, verb)
		}
	}
	want := `SHOW LIST_TABLESPACES START_BACKUP LIST_FILES SEND_FILE STOP_BACKUP LIST_TABLESPACES LIST_WAL_FILES SEND_FILE \quit`
	if got := strings.Join(other, " "); got != want {
		t.Errorf("commands %s, want %s", got, want)
	}
}

// TestCopy_Stalled waits an hour for a server that says no more, in no time.
func TestCopy_Stalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &walsendertest.Server{InMemory: true, Faults: []walsendertest.Fault{walsendertest.Stall(aFile, 1000)}}
		server.StartTest(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := copyFrom(ctx, t, server); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}
