package walsendertest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// backUp takes a backup of the server with three workers, and returns where to.
func backUp(t testing.TB, s *walsendertest.Server) (dir string, result client.Result, err error) {
	t.Helper()
	config, err := s.ConnConfig()
	must(t, err)
	dir = filepath.Join(t.TempDir(), "copy")
	result, err = client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: dir, Jobs: 3, NoSync: true})
	return dir, result, err
}

// forgiven are faults that a client gets over: the backup is whole.
func forgiven() []walsendertest.Fault {
	return []walsendertest.Fault{
		walsendertest.Stall(big, 100),
		walsendertest.Pause(big, 5000, 10*time.Second),
		walsendertest.Drip(big, 30000, time.Second),
		walsendertest.CutFile(big, 100),
		walsendertest.ResetFile(big, 140_000),
		walsendertest.EOFWithoutCopyDone(big),
		walsendertest.ErrorInFile(big, 1000, fatal()),
		walsendertest.Frames(100),
		walsendertest.Frames(1 << 20),
		walsendertest.Notices(),
		walsendertest.LateNotices(),
		walsendertest.UnknownParameter(),
		walsendertest.Vanished(big),
		walsendertest.ShortFile(big, 100),
		walsendertest.GrownFile(big, 8192),
		walsendertest.ListedTwice(big),
	}
}

// deadly are faults that must fail the backup.
func deadly() []walsendertest.Fault {
	row := func(path string, kind protocol.FileType) walsendertest.Fault {
		return walsendertest.ListedRow("", protocol.File{Path: path, Type: kind, ModTime: time.Unix(0, 0)})
	}
	return []walsendertest.Fault{
		walsendertest.RefuseConnection(1, walsendertest.StartingUp),
		walsendertest.RefuseConnection(3, walsendertest.TooManySenders),
		walsendertest.RefuseConnection(4, walsendertest.PlainClose),
		walsendertest.CutAfter(1, 2000),
		walsendertest.ResetAfter(1, 1500),
		walsendertest.CutCommand("STOP_BACKUP", 1),
		walsendertest.FailCommand("JOIN_BACKUP", 2, failure()),
		walsendertest.ErrorInFile(big, 1000, failure()),
		walsendertest.ErrorAfterCopyDone(big, failure()),
		walsendertest.LateErrorAtStop(failure()),
		walsendertest.StopFails(failure()),
		walsendertest.WrongID(),
		walsendertest.LeaderLost(big, 1000),
		walsendertest.Vanished("global/pg_control"),
		walsendertest.Vanished("PG_VERSION"),
		walsendertest.Vanished("pg_wal/000000010000000000000002"),
		walsendertest.Unlisted("global/pg_control"),
		walsendertest.Unlisted("pg_wal/000000010000000000000002"),
		row(big, protocol.TypeFile), // once more, and not as before
		walsendertest.TablespaceAppears(16500, "/srv/new"),
		walsendertest.ErrorInFile(big, 0, fatal()).Times(0),
		row("../escaped", protocol.TypeFile),
		row("/etc/escaped", protocol.TypeFile),
		row("pg_tblspc/777", protocol.TypeLink),
	}
}

func TestFault_ClientForgives(t *testing.T) {
	// More pages than lie between the two ends: the server of a stalled connection must
	// notice that nobody reads (§7.1).
	checkForgives(t, 100, forgiven()...)
}

// TestFault_ClientForgivesEachByte_Long sends frames by the hundred thousand, in a whole run
// by the million.
func TestFault_ClientForgivesEachByte_Long(t *testing.T) {
	longtest.Mark(t)
	pages := 3
	if longtest.Whole() {
		pages = 100
	}
	checkForgives(t, pages, walsendertest.Frames(1))
}

func checkForgives(t *testing.T, pages int, faults ...walsendertest.Fault) {
	t.Helper()
	for _, fault := range faults {
		t.Run(fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := damaged()
				cluster.Sample.RelationPages = pages
				server := &walsendertest.Server{Cluster: cluster, InMemory: true, Faults: []walsendertest.Fault{fault}}
				server.StartTest(t)
				dir, result, err := backUp(t, server)
				// LateNotices needs a notice, which a damaged page gives.
				if err != nil && !errors.Is(err, client.ErrChecksum) {
					t.Fatal(err)
				}
				report, err := client.Verify(t.Context(), dir, client.VerifyOptions{})
				must(t, err)
				if len(report.Problems) > 0 || result.Files < 40 {
					t.Errorf("problems %v, %d files", report.Problems, result.Files)
				}
			})
		})
	}
}

func TestFault_ClientFails(t *testing.T) {
	for _, fault := range deadly() {
		t.Run(fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := walsendertest.RunningPrimary()
				cluster.Sample.RelationPages = 20
				server := &walsendertest.Server{Cluster: cluster, InMemory: true, Faults: []walsendertest.Fault{fault}}
				server.StartTest(t)
				dir, _, err := backUp(t, server)
				if err == nil {
					t.Error("the client reports success")
				}
				if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("something is left of the failed backup: %v", err)
				}
				synctest.Wait()
				if n := cluster.Backups(); n != 0 {
					t.Errorf("%d backups still run", n)
				}
			})
		})
	}
}

// A standby that is promoted fails the backup.
func TestFault_ClientPromotion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &walsendertest.Server{Cluster: walsendertest.Standby(), InMemory: true, Faults: []walsendertest.Fault{walsendertest.Promotion(big)}}
		server.StartTest(t)
		_, _, err := backUp(t, server)
		if codeOf(err) != protocol.CodeObjectNotInPrerequisite {
			t.Errorf("the client says %v", err)
		}
	})
}

// A client that waits for a server which says nothing is ended by its own context, on
// the bubble's clock.
func TestFault_ClientStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &walsendertest.Server{InMemory: true, Faults: []walsendertest.Fault{walsendertest.Stall(big, 100)}}
		server.StartTest(t)
		config, err := server.ConnConfig()
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err = client.Backup(ctx, client.Options{ConnConfig: config, Dir: filepath.Join(t.TempDir(), "copy"), NoSync: true})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took < time.Second || took > time.Minute {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// Over sockets and in memory, with TLS and without it.
func TestServer_Client(t *testing.T) {
	for _, tt := range []struct {
		name   string
		server *walsendertest.Server
	}{
		{"loopback", &walsendertest.Server{}},
		{"loopback, TLS", &walsendertest.Server{TLS: true}},
		{"memory, TLS", &walsendertest.Server{TLS: true, InMemory: true}},
		{"many files", &walsendertest.Server{Cluster: &walsendertest.Cluster{Sample: walsendertest.Sample{SmallFiles: 5000}}}},
		{"cut under TLS", &walsendertest.Server{TLS: true, Faults: []walsendertest.Fault{walsendertest.CutFile("base/1/20000", 7)}}},
		{"reset under TLS", &walsendertest.Server{TLS: true, Faults: []walsendertest.Fault{walsendertest.ResetFile("base/1/20000", 7)}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.server.StartTest(t)
			dir, _, err := backUp(t, tt.server)
			must(t, err)
			report, err := client.Verify(t.Context(), dir, client.VerifyOptions{})
			must(t, err)
			if len(report.Problems) > 0 {
				t.Errorf("problems: %v", report.Problems)
			}
		})
	}
}
