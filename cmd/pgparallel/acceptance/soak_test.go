package acceptance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// The environment of the soaks: for how long, and from which seed on.
const (
	soakTime = "PGPARALLEL_SOAK"
	soakSeed = "PGPARALLEL_SOAK_SEED"
)

// TestSoak_Long takes many backups, each with a fault somewhere, and holds each to the
// same: it fails with one error and leaves what it found, or it succeeds and is whole.
// Each backup has a seed, one more than the one before, which decides all about it
// but how the processes and goroutines interleave.
func TestSoak_Long(t *testing.T) {
	longtest.Mark(t)
	seed, err := strconv.ParseUint(environment(soakSeed, fmt.Sprint(rand.Uint32())), 10, 64)
	must(t, err)
	length, err := time.ParseDuration(environment(soakTime, "15s"))
	must(t, err)
	t.Logf("%s=%d", soakSeed, seed)

	s := newSoak(t)
	for end := time.Now().Add(length); time.Now().Before(end); seed++ {
		s.serve(t)
		held := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			if random.IntN(3) == 0 {
				s.inProcess(t, random)
			} else {
				s.program(t, random)
			}
		})
		if !held {
			t.Fatalf("to replay: PGPARALLEL_LONG=1 %s=%d go test -race -run '^TestSoak_Long$' ./cmd/pgparallel/acceptance", soakSeed, seed)
		}
	}
}

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// soak is what the backups with the program have in common.
type soak struct {
	from     sample
	parent   string // of the targets
	server   *server
	manifest []byte // of a backup that nothing disturbed
	traffic  int64  // the bytes that it took
	shutDown []byte // the manifest of the library's undisturbed backup of a primary that was shut down
}

func newSoak(t *testing.T) *soak {
	base := t.TempDir()
	s := &soak{parent: reachable(t), from: sample{dir: filepath.Join(base, "data"), location: filepath.Join(base, "space")}}
	must(t, walsendertest.Sample{
		WALSegmentSize: 1 << 20,
		Relations:      2,
		SmallFiles:     30,
		Tablespaces:    []walsendertest.SampleTablespace{{OID: 16500, Location: s.from.location}},
	}.Write(s.from.dir))
	s.serve(t)
	w, to := &wire{}, newTarget(t, t.TempDir(), false)
	w.lay(t, s.server)
	succeed(t, backup(t, w.socketDir, to.dir, to.options(s.from.location, 4)...))
	s.manifest, s.traffic = to.manifest(t), w.total()

	cluster := walsendertest.Primary()
	cluster.Sample.SmallFiles = soakFiles
	config, err := walsendertest.NewServer(t, cluster).ConnConfig()
	must(t, err)
	to = newTarget(t, t.TempDir(), false)
	_, err = client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: to.dir, NoSync: true})
	must(t, err)
	s.shutDown = to.manifest(t)
	return s
}

func (to target) manifest(t *testing.T) []byte {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(to.dir, "backup_manifest"))
	must(t, err)
	return manifest
}

// serve has a server, a new one where the one before has ended.
func (s *soak) serve(t *testing.T) {
	t.Helper()
	if s.server != nil {
		select {
		case <-s.server.ended:
		default:
			return
		}
	}
	s.server = serve(t, s.from.dir, "--max-wal-senders=40")
}

// trouble is what may strike a backup with the program.
type trouble struct {
	name    string
	options []string
	client  unix.Signal // sent to the client
	server  unix.Signal // sent to the server
	strike  func(w *wire, client, server net.Conn)
}

var troubles = []trouble{
	{name: "nothing"},
	{name: "connection lost", strike: func(_ *wire, client, server net.Conn) { client.Close(); server.Close() }},
	{name: "connection lost on the client's side", strike: func(_ *wire, client, _ net.Conn) { client.Close() }},
	{name: "all connections lost", strike: func(w *wire, _, _ net.Conn) { w.cutAll() }},
	{name: "silence", options: []string{"--timeout=1"}, strike: func(w *wire, _, _ net.Conn) { <-w.closed }},
	{name: "server shut down", server: unix.SIGTERM},
	{name: "server shut down at once", server: unix.SIGQUIT},
	{name: "server killed", server: unix.SIGKILL},
	{name: "client interrupted", client: unix.SIGINT},
	{name: "client terminated", client: unix.SIGTERM},
	{name: "client killed", client: unix.SIGKILL},
}

// program takes a backup with the program, and has trouble strike it somewhere.
func (s *soak) program(t *testing.T, random *rand.Rand) {
	base, err := os.MkdirTemp(s.parent, "")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(base) })
	to, jobs := newTarget(t, base, random.IntN(2) == 0), 1+random.IntN(8)
	what, tar := troubles[random.IntN(len(troubles))], random.IntN(4) == 0
	options := append(to.options(s.from.location, jobs), what.options...)
	if tar {
		options = append(options, "-Ft")
	}
	if random.IntN(4) == 0 {
		options = append(options, "--min-jobs=1")
	}

	w := &wire{watched: random.IntN(jobs + 2), after: s.position(random), strike: what.strike}
	if w.watched != 0 {
		w.after /= int64(jobs)
	}
	var b *process
	started := make(chan struct{})
	if signal := what.client; signal != 0 {
		w.strike = func(*wire, net.Conn, net.Conn) {
			select {
			case <-started:
				b.signal(signal)
			case <-w.closed:
			}
		}
	}
	if signal := what.server; signal != 0 {
		w.strike = func(*wire, net.Conn, net.Conn) { s.server.signal(signal) }
	}
	t.Logf("%s after %d bytes of connection %d, %q", what.name, w.after, w.watched, options)
	w.lay(t, s.server)
	b = start(t, backup(t, w.socketDir, to.dir, options...))
	close(started)
	b.wait(t)
	t.Logf("struck: %t; the backup: %v", w.hasStruck(), b.cmd.ProcessState)

	switch {
	case b.status() == 1 && w.hasStruck():
		to.checkFailed(t, b, "")
	case b.status() == -1 && what.client == unix.SIGKILL:
		s.checkKilled(t, to, tar)
	case b.status() == -1 && what.client != 0: // at its end, when it listens to signals no more
		s.checkContent(t, to, tar)
	default:
		if !tar && random.IntN(10) == 0 {
			to.checkWhole(t, b)
		}
		s.checkSucceeded(t, to, tar, b)
	}
	if what.server != 0 && w.hasStruck() {
		s.server.wait(t)
	}
}

// position is a number of bytes that may be anywhere in a backup, and is near its
// beginning, where most of the steps are, as often as not.
func (s *soak) position(random *rand.Rand) int64 {
	if random.IntN(2) == 0 {
		return random.Int64N(s.traffic)
	}
	return int64(math.Exp(random.Float64() * math.Log(float64(s.traffic))))
}

func (s *soak) checkSucceeded(t *testing.T, to target, tar bool, b *process) {
	t.Helper()
	said := b.stderr.String()
	if b.status() != 0 || strings.Contains(said, "error: ") || strings.Count(said, "base backup completed") != 1 {
		t.Fatalf("exit status %d, want 0, no error and one word of completion", b.status())
	}
	s.checkContent(t, to, tar)
}

// checkContent checks that there is a backup, the same as without trouble.
func (s *soak) checkContent(t *testing.T, to target, tar bool) {
	t.Helper()
	if exists(t, filepath.Join(to.dir, "pgparallel.incomplete")) {
		t.Error("the backup is marked as incomplete")
	}
	if tar {
		to.dir = s.unpack(t, to)
	}
	to.checkIs(t, s.manifest)
}

// checkIs checks that the backup is as it was taken, and that it has this manifest;
// nil stands for any.
func (to target) checkIs(t *testing.T, manifest []byte) {
	t.Helper()
	if got := to.manifest(t); manifest != nil && !bytes.Equal(manifest, got) {
		t.Errorf("the manifest is another one:\n%s", firstDifference(manifest, got))
	}
	report, err := client.Verify(t.Context(), to.dir, client.VerifyOptions{})
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("the backup is not as it was taken: %v %v", err, report.Problems)
	}
}

// unpack unpacks archives where a restore does.
func (s *soak) unpack(t *testing.T, to target) (dir string) {
	t.Helper()
	dir = filepath.Join(to.base, "unpacked")
	for archive, into := range map[string]string{"base.tar": dir, "16500.tar": to.tablespace} {
		must(t, os.MkdirAll(into, 0o700))
		succeed(t, exec.Command("tar", "-xf", filepath.Join(to.dir, archive), "-C", into))
	}
	must(t, os.Rename(filepath.Join(to.dir, "backup_manifest"), filepath.Join(dir, "backup_manifest")))
	return dir
}

// checkKilled checks what a client has left that was killed: the whole backup, or
// something that says that it is none. The next backup goes there all the same.
func (s *soak) checkKilled(t *testing.T, to target, tar bool) {
	t.Helper()
	marked := exists(t, filepath.Join(to.dir, "pgparallel.incomplete"))
	if exists(t, filepath.Join(to.dir, "backup_manifest")) && !marked {
		s.checkContent(t, to, tar)
		return
	}
	if left, _ := os.ReadDir(to.dir); len(left) > 0 && !marked {
		t.Errorf("what is left has no mark: %v", left)
	}
	options := to.options(s.from.location, 2)
	if tar {
		options = append(options, "-Ft")
	}
	if marked {
		to.before = tree(t, to.base)
		to.checkFailed(t, run(t, backup(t, s.server.socketDir, to.dir, options...)), "unfinished backup")
	}
	b := run(t, backup(t, s.server.socketDir, to.dir, append(options, "--force")...))
	s.checkSucceeded(t, to, tar, b)
}

// soakFiles is the number of small files in the library's clusters.
const soakFiles = 20

// inProcess takes a backup in this process, from a server with faults of all kinds.
func (s *soak) inProcess(t *testing.T, random *rand.Rand) {
	leaks := goleak.IgnoreCurrent()
	cluster := []func() *walsendertest.Cluster{
		walsendertest.Primary, walsendertest.RunningPrimary, walsendertest.Standby,
	}[random.IntN(3)]()
	cluster.Sample.SmallFiles = soakFiles
	server := &walsendertest.Server{Cluster: cluster}
	for range 1 + random.IntN(3) {
		server.Faults = append(server.Faults, soakFault(random))
	}
	o := client.Options{Jobs: 1 + random.IntN(8), FastCheckpoint: true, NoSync: true, Timeout: time.Second, WAL: client.WALOptions{Method: client.WALFetch}}
	o.MinJobs = random.IntN(o.Jobs + 1)
	if server.Config.MaxWALSenders = 40; random.IntN(5) == 0 {
		server.Config.MaxWALSenders = o.Jobs
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := random.IntN(100) // after so many it is canceled: mostly never
	o.Log = func(client.Event) {
		if events--; events == 0 {
			cancel()
		}
	}
	t.Logf("%v, %d sessions, -j %d --min-jobs=%d, canceled after %d events", server.Faults, server.Config.MaxWALSenders, o.Jobs, o.MinJobs, events)
	to := newTarget(t, t.TempDir(), random.IntN(2) == 0)
	o.Dir = to.dir

	must(t, server.Start())
	config, err := server.ConnConfig()
	must(t, err)
	o.ConnConfig = config
	result, err := client.Backup(ctx, o)
	t.Logf("unused: %v; the backup: %v", server.Unused(), err)
	canceled := ctx.Err() != nil
	must(t, server.Close())
	goleak.VerifyNone(t, leaks)
	if err != nil && !errors.Is(err, client.ErrChecksum) {
		if text := err.Error(); text == "" || strings.Contains(text, "\n") {
			t.Errorf("the error is not one line: %q", text)
		}
		if !canceled && len(server.Unused()) == len(server.Faults) && server.Config.MaxWALSenders > o.Jobs {
			t.Errorf("it failed for no reason: %v", err)
		}
		if diff := cmp.Diff(to.before, tree(t, to.base)); diff != "" {
			t.Errorf("%v, and something is left (-before +after):\n%s", err, diff)
		}
		return
	}
	if result.HasLabel { // some files may be missing then
		to.checkIs(t, nil)
	} else {
		to.checkIs(t, s.shutDown)
	}
}

// soakFault is any fault of a server but Unlisted, a lie that no client can know for
// one.
func soakFault(random *rand.Rand) walsendertest.Fault {
	file := []string{"PG_VERSION", "base/5/20000", "base/1/20001", "base/5/100000", "global/pg_control", "pg_wal/000000010000000000000002"}[random.IntN(6)]
	verb := []string{"SHOW", "IDENTIFY_SYSTEM", "LIST_TABLESPACES", "START_BACKUP", "JOIN_BACKUP", "LIST_FILES", "SEND_FILE", "STOP_BACKUP", "LIST_WAL_FILES"}[random.IntN(9)]
	session, times, n := 1+random.IntN(9), 1+random.IntN(4), int64(random.IntN(81920))
	failure := protocol.Errorf(protocol.CodeIOError, "scripted failure")
	if random.IntN(2) == 0 {
		failure = protocol.Fatalf(protocol.CodeAdminShutdown, "scripted end")
	}
	faults := []walsendertest.Fault{
		walsendertest.RefuseConnection(session, walsendertest.PlainClose),
		walsendertest.RefuseConnection(session, walsendertest.TooManySenders),
		walsendertest.CutAfter(session, n),
		walsendertest.ResetAfter(session, n),
		walsendertest.CutCommand(verb, times),
		walsendertest.FailCommand(verb, times, failure),
		walsendertest.CutFile(file, n).Times(times),
		walsendertest.ResetFile(file, n).Times(times),
		walsendertest.EOFWithoutCopyDone(file).Times(times),
		walsendertest.ErrorInFile(file, n, failure),
		walsendertest.ErrorAfterCopyDone(file, failure),
		walsendertest.LeaderLost(file, n),
		walsendertest.Stall(file, n),
		walsendertest.ShortFile(file, n),
		walsendertest.GrownFile(file, min(n, 8192)),
		walsendertest.ListedTwice(file),
		walsendertest.Vanished(file),
		walsendertest.StopFails(failure),
		walsendertest.LateErrorAtStop(failure),
		walsendertest.LateErrorAtStop(protocol.Errorf(protocol.CodeDataCorrupted, "checksum verification failure during base backup")),
		walsendertest.Frames(1 + random.IntN(100000)),
		walsendertest.Notices(),
		walsendertest.LateNotices(),
		walsendertest.UnknownParameter(),
	}
	return faults[random.IntN(len(faults))]
}
