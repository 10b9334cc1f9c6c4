package acceptance_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// TestSoakLive_Long takes backups of a running PostgreSQL while something happens to the
// cluster, and holds each to the same: one that reports success starts, has what was
// committed before it began, and no damaged page; one that fails leaves nothing, but for
// a backup with damaged pages. The environment is TestSoak_Long's.
func TestSoakLive_Long(t *testing.T) {
	longtest.Mark(t)
	seed, err := strconv.ParseUint(environment(soakSeed, fmt.Sprint(rand.Uint32())), 10, 64)
	must(t, err)
	length, err := time.ParseDuration(environment(soakTime, "10s"))
	must(t, err)
	t.Logf("%s=%d", soakSeed, seed)

	s := newLiveSoak(t)
	for end := time.Now().Add(length); time.Now().Before(end); seed++ {
		held := t.Run(fmt.Sprint(seed), func(t *testing.T) { s.backUp(t, rand.New(rand.NewPCG(seed, 0))) })
		if !held {
			t.Fatalf("to replay: PGPARALLEL_LONG=1 %s=%d go test -race -run '^TestSoakLive_Long$' ./cmd/pgparallel/acceptance", soakSeed, seed)
		}
	}
}

// liveSoak is a running cluster with somebody who writes into it, and a server beside it.
type liveSoak struct {
	cluster *postgres.Cluster
	server  *server
	older   string     // a copy of the stopped cluster, as somebody keeps who wants to go back
	parent  string     // of the targets
	random  *rand.Rand // of the backup that is taken
}

func newLiveSoak(t *testing.T) *liveSoak {
	ctx, p := t.Context(), postgres.Require(t)
	s := &liveSoak{parent: p.TempDir(t), cluster: p.NewCluster(t, postgres.InitOptions{
		Checksums: true, WALSegmentSizeMB: 1, Settings: map[string]string{"max_wal_size": "64MB", "wal_keep_size": "64MB"},
	})}
	must(t, s.cluster.Start(ctx))
	sql(t, s.cluster, `
		create table marks (n bigint);
		create table ledger as select i as account, 0::bigint as amount from generate_series(1, 200) i;
		create table victim as select i, repeat('x', 500) as filler from generate_series(1, 2000) i;
		create unlogged table volatile as select i, repeat('y', 100) as filler from generate_series(1, 2000) i;
		vacuum (freeze, analyze) victim; checkpoint`)
	must(t, s.cluster.Stop(ctx, postgres.Fast))
	s.older = filepath.Join(s.parent, "older")
	s.copyDirectory(t, s.cluster.Dir, s.older)
	must(t, s.cluster.Start(ctx))
	s.server = serve(t, s.cluster.Dir, "--max-wal-senders=40", "--cluster="+s.cluster.ConnString("postgres"), "--passthrough-superuser=postgres")
	s.write(t)
	return s
}

func (s *liveSoak) copyDirectory(t *testing.T, from, to string) {
	t.Helper()
	succeed(t, exec.Command("cp", "-a", from, to))
}

// write has a goroutine move amounts about in the ledger until the test ends. Their sum
// is always 0. While no server runs, it tries again.
func (s *liveSoak) write(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with ctx
		defer close(done)
		for ctx.Err() == nil {
			conn, err := pgconn.Connect(ctx, s.cluster.ConnString("postgres"))
			for n := 0; err == nil; n++ {
				_, err = conn.Exec(ctx, fmt.Sprintf(`begin;
					update ledger set amount = amount - %d where account = %d;
					update ledger set amount = amount + %[1]d where account = %[3]d; commit`, n, 1+n%200, 1+(n*7+1)%200)).ReadAll()
			}
			if conn != nil {
				_ = conn.Close(context.WithoutCancel(ctx)) // it is lost anyway
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// event is something that happens to a running cluster.
type event struct {
	name   string
	before func(t *testing.T, s *liveSoak, r *rand.Rand) (undo func()) // before the backup begins
	during func(t *testing.T, s *liveSoak, b *process)                 // some time after that
	again  bool                                                        // it happens for as long as the backup takes
	fails  bool                                                        // no backup may report success
}

var events = []event{
	{name: "nothing"},
	{name: "SIGHUP of the client", during: func(_ *testing.T, _ *liveSoak, b *process) { b.signal(unix.SIGHUP) }},
	{name: "two SIGTERM of the client", during: func(_ *testing.T, _ *liveSoak, b *process) { b.signal(unix.SIGTERM); b.signal(unix.SIGTERM) }},
	{name: "SIGHUP of the server", during: func(_ *testing.T, s *liveSoak, _ *process) { s.server.signal(unix.SIGHUP) }},
	{name: "PostgreSQL restarted", during: func(t *testing.T, s *liveSoak, _ *process) { s.restart(t, func() {}) }},
	{name: "directory replaced by its copy", during: func(t *testing.T, s *liveSoak, _ *process) {
		s.restart(t, func() { s.replace(t, s.cluster.Dir) })
	}},
	{name: "directory replaced by an older copy", during: func(t *testing.T, s *liveSoak, _ *process) {
		s.restart(t, func() { s.replace(t, s.older) })
	}},
	{name: "directory replaced before", before: func(t *testing.T, s *liveSoak, _ *rand.Rand) func() {
		s.restart(t, func() { s.replace(t, s.older) })
		return nil
	}},
	{name: "configuration changes", again: true, during: func(t *testing.T, s *liveSoak, _ *process) {
		s.configure(t, "alter system set work_mem = '8MB'; alter system set application_name = 'a long name for a short while'")
		s.configure(t, "alter system reset work_mem; alter system reset application_name")
	}},
	{name: "index builds on unlogged tables", again: true, during: func(t *testing.T, s *liveSoak, _ *process) {
		sql(t, s.cluster, `create index on volatile (i); reindex table volatile; vacuum full volatile;
			create unlogged table more as select i from generate_series(1, 500) i; create index on more (i); alter table more set logged; drop table more`)
	}},
	{name: "sessions that are idle for long", before: func(t *testing.T, s *liveSoak, _ *rand.Rand) func() {
		if s.cluster.Programs.Major < 14 {
			return nil
		}
		s.configure(t, "alter system set idle_session_timeout = '300ms'")
		return func() { s.configure(t, "alter system reset idle_session_timeout") }
	}},
	{name: "a damaged page", before: damagePage, fails: true},
	{name: "a page that is damaged meanwhile", during: func(t *testing.T, s *liveSoak, b *process) {
		undo := damagePage(t, s, s.random)
		b.wait(t) // some copies have the page as it was, the others must not be called good
		undo()
	}},
}

// restart stops the server, does something, and starts it again.
func (s *liveSoak) restart(t *testing.T, meanwhile func()) {
	must(t, s.cluster.Stop(t.Context(), postgres.Fast))
	meanwhile()
	must(t, s.cluster.Start(t.Context()))
}

// replace puts a copy of a directory in the place of the stopped cluster's.
func (s *liveSoak) replace(t *testing.T, with string) {
	next := s.cluster.Dir + ".next"
	s.copyDirectory(t, with, next)
	must(t, os.RemoveAll(s.cluster.Dir+".old"))
	must(t, os.Rename(s.cluster.Dir, s.cluster.Dir+".old"))
	must(t, os.Rename(next, s.cluster.Dir))
}

// configure changes the configuration, pg_hba.conf too, and has it read again.
func (s *liveSoak) configure(t *testing.T, statements string) {
	rules, err := os.OpenFile(filepath.Join(s.cluster.Dir, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = rules.WriteString("# one line more\n")
	must(t, err)
	must(t, rules.Close())
	sql(t, s.cluster, statements+"; select pg_reload_conf()")
}

// damagePage damages a page that nobody writes, in one of the ways in which disks do.
func damagePage(t *testing.T, s *liveSoak, r *rand.Rand) (undo func()) {
	const page = 8192
	file, err := os.OpenFile(filepath.Join(s.cluster.Dir, sql(t, s.cluster, "select pg_relation_filepath('victim')")), os.O_RDWR, 0)
	must(t, err)
	at := int64(r.IntN(50)) * page
	good, bad := make([]byte, page), make([]byte, page)
	_, err = file.ReadAt(good, at)
	must(t, err)
	copy(bad, good)
	switch r.IntN(5) {
	case 0: // an LSN that no server ever had
		for i := range 8 {
			bad[i] = 0xFF
		}
	case 1: // a sector that was never written
		clear(bad[:512])
	case 2: // pd_upper of a new page
		bad[14], bad[15] = 0, 0
	case 3: // somebody else's bytes
		for i := range bad {
			bad[i] = byte(r.Uint32())
		}
	case 4:
		bad[page/2] ^= 1
	}
	_, err = file.WriteAt(bad, at)
	must(t, err)
	return func() {
		_, err := file.WriteAt(good, at)
		must(t, err)
		must(t, file.Close())
	}
}

// backUp takes a backup to which an event happens, and judges what comes of it.
func (s *liveSoak) backUp(t *testing.T, r *rand.Rand) {
	s.random = r
	what, mark := events[r.IntN(len(events))], r.Int64()
	base, err := os.MkdirTemp(s.parent, "")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(base) })
	must(t, s.cluster.Programs.Own(base))
	to := newTarget(t, base, r.IntN(2) == 0)
	options := []string{
		"-v", "--no-sync", "-c", "fast", "-r", fmt.Sprintf("%dM", 10+r.IntN(60)), "-j", fmt.Sprint(1 + r.IntN(4)),
		"-X", []string{"stream", "fetch"}[r.IntN(2)],
	}
	delay := time.Duration(r.Int64N(int64(2 * time.Second)))
	t.Logf("%s after %v, %q", what.name, delay, options)

	if what.before != nil {
		if undo := what.before(t, s, r); undo != nil {
			defer undo()
		}
	}
	sql(t, s.cluster, fmt.Sprintf("insert into marks values (%d)", mark))
	b := start(t, backup(t, s.server.socketDir, to.dir, options...))
	if what.during != nil {
		s.happen(t, what, b, delay)
	}
	b.wait(t)
	said := b.stderr.String()
	_, failure, _ := strings.Cut(said, "error: ")
	t.Logf("the backup: %v %s", b.cmd.ProcessState, failure)
	switch damaged := strings.Contains(said, "checksum"); {
	case b.status() == 0 && what.fails:
		t.Errorf("it reports success")
	case b.status() == 0:
		s.checkRestored(t, to, mark)
	case b.status() != map[bool]int{false: 1, true: 3}[damaged] || !strings.Contains(said, "error: "):
		t.Errorf("exit status %d, want 1 and an error, or 3", b.status())
	case !damaged:
		if diff := cmp.Diff(to.before, tree(t, to.base)); diff != "" {
			t.Errorf("something is left (-before +after):\n%s", diff)
		}
	}
}

// happen lets an event happen to a backup that runs, once or until the backup has ended.
func (s *liveSoak) happen(t *testing.T, what event, b *process, delay time.Duration) {
	for {
		select {
		case <-b.ended:
			return
		case <-time.After(delay):
			what.during(t, s, b)
		}
		if !what.again {
			return
		}
		delay = max(delay/4, time.Second) // nobody's configuration changes all the time
	}
}

// checkRestored starts the copy, and looks whether all is there.
func (s *liveSoak) checkRestored(t *testing.T, to target, mark int64) {
	t.Helper()
	ctx, p := t.Context(), s.cluster.Programs
	restored := p.OpenCluster(t, to.dir)
	must(t, restored.Start(ctx))
	if got := sql(t, restored, fmt.Sprintf("select count(*) from marks where n = %d", mark)); got != "1" {
		t.Errorf("what was committed before the backup began is there %s times", got)
	}
	if got := sql(t, restored, "select count(*), sum(amount) from ledger"); got != "200|0" {
		t.Errorf("the ledger has %s, want 200|0", got)
	}
	if got := sql(t, restored, "select count(*), sum(length(filler)) from victim"); got != "2000|1000000" {
		t.Errorf("the table that nobody writes has %s, want 2000|1000000", got)
	}
	sql(t, restored, "select count(*) from volatile; create index on volatile (filler)")
	must(t, restored.Stop(ctx, postgres.Fast))
	if _, err := p.Run(ctx, "pg_checksums", "--check", "-D", to.dir); err != nil {
		t.Errorf("%v", err)
	}
}
