package livecluster_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// copyTree copies a directory with all that it has, as an administrator would.
func copyTree(t testing.TB, from, to string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
}

// newClone starts a copy of the cluster beside it: the same system identifier, port,
// history and roles, and it was started in the same second, if possible.
func newClone(t testing.TB, c *postgres.Cluster) *postgres.Cluster {
	t.Helper()
	dir := filepath.Join(c.Programs.TempDir(t), "clone")
	must(t, c.Stop(t.Context(), postgres.Fast))
	copyTree(t, c.Dir, dir)
	clone := c.Programs.OpenCluster(t, dir)
	must(t, c.Start(t.Context()))
	must(t, clone.Start(t.Context()))
	return clone
}

// TestOpen_Identity leads each connection string to what is not the server of the data
// directory, and yet has its system identifier.
func TestOpen_Identity(t *testing.T) {
	t.Parallel()
	c := newPrimary(t, nil)
	clone := newClone(t, c)
	standby := newStandby(t, c)
	const elsewhere, passesElsewhere = "the server is not the one that runs on", "the pass-through leads to another cluster, or to a copy of this one"
	for name, test := range map[string]struct {
		dir, sql, pass *postgres.Cluster
		want           string
	}{
		"the server":                           {c, c, c, ""},
		"a standby":                            {standby, standby, standby, ""},
		"a clone":                              {c, clone, c, elsewhere},
		"a clone's directory":                  {clone, c, c, elsewhere},
		"a clone's walsender":                  {c, c, clone, passesElsewhere},
		"a standby's walsender":                {c, c, standby, passesElsewhere},
		"a standby instead of its primary":     {c, standby, standby, elsewhere},
		"a primary instead of its standby":     {standby, c, c, elsewhere},
		"the walsender of a standby's primary": {standby, standby, c, passesElsewhere},
	} {
		t.Run(name, func(t *testing.T) {
			live, err := livecluster.Open(t.Context(), test.dir.Dir, livecluster.Config{
				ConnString: as(test.sql, "backup"), PassThrough: as(test.pass, "passer"), Logger: logger(t),
			})
			if err == nil {
				must(t, live.Close())
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// TestOpen_SlowStart opens a cluster whose server took an hour from its process's start
// to its own.
func TestOpen_SlowStart(t *testing.T) {
	t.Parallel()
	c := newPrimary(t, nil)
	name := filepath.Join(c.Dir, "postmaster.pid")
	text, err := os.ReadFile(name)
	must(t, err)
	lines := strings.Split(string(text), "\n")
	started, err := strconv.Atoi(lines[2])
	must(t, err)
	lines[2] = strconv.Itoa(started - 3600)
	must(t, os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o600))
	live, err := livecluster.Open(t.Context(), c.Dir, configFor(t, c))
	must(t, err)
	must(t, live.Close())
}

// switchedProxy passes connections on to a cluster, which can be changed, as where a
// virtual address moves.
type switchedProxy struct {
	dir    string // of its socket
	target atomic.Pointer[postgres.Cluster]
}

func newSwitchedProxy(t testing.TB, target *postgres.Cluster) *switchedProxy {
	t.Helper()
	p := &switchedProxy{dir: t.TempDir()}
	p.target.Store(target)
	listener, err := net.Listen("unix", filepath.Join(p.dir, ".s.PGSQL.5432"))
	must(t, err)
	var serving sync.WaitGroup
	t.Cleanup(func() { listener.Close(); serving.Wait() })
	serving.Go(func() { // ends with the listener
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { passOn(client, p.target.Load()) })
		}
	})
	return p
}

// passOn passes one connection on to the cluster until both ends are closed.
func passOn(client net.Conn, c *postgres.Cluster) {
	defer client.Close()
	server, err := net.Dial("unix", filepath.Join(c.SocketDir, ".s.PGSQL.5432"))
	if err != nil {
		return
	}
	defer server.Close()
	back := make(chan struct{})
	go func() { // ends with the client's connection
		defer close(back)
		_, _ = io.Copy(server, client) // the other direction tells
		server.Close()
	}()
	_, _ = io.Copy(client, server) // a connection that ends
	client.Close()
	<-back
}

// TestPassThrough_LedAway moves the address of the pass-through to a clone while the
// server serves: what comes from there is refused, and taken again when it is back.
func TestPassThrough_LedAway(t *testing.T) {
	t.Parallel()
	c := newPrimary(t, nil)
	clone := newClone(t, c)
	proxy := newSwitchedProxy(t, c)
	config := configFor(t, c)
	config.PassThrough = strings.Replace(config.PassThrough, c.SocketDir, proxy.dir, 1)
	live, err := livecluster.Open(t.Context(), c.Dir, config)
	must(t, err)
	s := serveCluster(t, c, live)
	row(t, replicate(t, s.through()), "SHOW work_mem")
	proxy.target.Store(clone)
	_, err = command(t, replicate(t, s.through()), "SHOW work_mem")
	if e := expectCode(t, err, "55000"); !strings.Contains(e.Message, "a copy of this one") {
		t.Errorf("answer %q", e.Message)
	}
	proxy.target.Store(c)
	row(t, replicate(t, s.through()), "SHOW work_mem")
}

// TestReopen_4_1_Replaced puts another directory under the path of a cluster that is
// served, in the ways in which it is done: the backup that runs fails, and then the
// new one is served, as its own server says, by the same process.
func TestReopen_4_1_Replaced(t *testing.T) {
	t.Parallel()
	c := newPrimary(t, nil)
	must(t, c.Stop(t.Context(), postgres.Fast))
	base := c.Programs.TempDir(t)
	kept, main := filepath.Join(base, "kept"), c.Dir
	copyTree(t, main, kept)
	must(t, c.Start(t.Context()))
	other := newForeignPrimary(t)
	must(t, other.Stop(t.Context(), postgres.Fast))
	s := serve(t, c)
	idle := replicate(t, s.through())
	row(t, idle, "SHOW work_mem")

	for _, step := range []struct {
		name    string
		replace func()
	}{
		{"removed and copied", func() {
			must(t, os.RemoveAll(main))
			copyTree(t, kept, main)
		}},
		{"moved and copied", func() {
			must(t, os.Rename(main, main+".old"))
			copyTree(t, kept, main)
		}},
		{"moved, and a link put in its place", func() {
			must(t, os.Rename(main, main+".older"))
			copyTree(t, kept, main+".linked")
			must(t, os.Symlink(main+".linked", main))
		}},
		{"a link that is turned", func() {
			copyTree(t, kept, main+".turned")
			must(t, os.Remove(main))
			must(t, os.Symlink(main+".turned", main))
		}},
		{"emptied and filled", func() {
			empty(t, main)
			copyTree(t, kept+"/.", main+"/")
		}},
		{"emptied and filled with another cluster", func() {
			empty(t, main)
			copyTree(t, other.Dir+"/.", main+"/")
		}},
	} {
		t.Run(step.name, func(t *testing.T) {
			// The directory that goes is ahead of the one that comes, as after a
			// mistake that is to be undone.
			sql(t, c, "CREATE TABLE mistake AS SELECT generate_series(1, 10000); CHECKPOINT")
			leader, id := startBackup(t, s)
			must(t, c.Stop(t.Context(), postgres.Fast))
			step.replace()
			marker := strings.ReplaceAll(step.name, " ", "_")
			must(t, os.WriteFile(filepath.Join(main, marker), []byte("new"), 0o600))
			must(t, c.Programs.Own(filepath.Join(main, marker)))
			must(t, c.Start(t.Context()))

			_, err := command(t, leader, "STOP_BACKUP")
			expectCode(t, err, "55000")
			worker := replicate(t, s.through())
			_, err = command(t, worker, "JOIN_BACKUP '"+id+"'")
			expectCode(t, err, "42704")
			if got := listed(t, idle, marker); got != 1 {
				t.Errorf("an old session lists the new file %d times", got)
			}
			row(t, worker, "SHOW work_mem")
			dir := filepath.Join(base, marker)
			_, err = s.backupTo(t.Context(), t, dir, func(o *client.Options) { o.WAL.Method = client.WALStream })
			must(t, err)
			copied, err := os.ReadFile(filepath.Join(dir, marker))
			if err != nil || string(copied) != "new" {
				t.Errorf("the copy is of another directory: %q, %v", copied, err)
			}
		})
	}
	restored := c.Programs.OpenCluster(t, filepath.Join(base, "a_link_that_is_turned"))
	must(t, restored.Start(t.Context()))
	if got := sql(t, restored, "SELECT count(*) FROM pg_class WHERE relname = 'mistake'"); got != "0" {
		t.Error("the copy has what was undone")
	}
}

func empty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		must(t, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
}

// listed counts a path among what a session lists.
func listed(t testing.TB, conn *pgconn.PgConn, path string) int {
	t.Helper()
	results, err := command(t, conn, "LIST_FILES")
	must(t, err)
	n := 0
	for _, r := range results[0].Rows {
		if string(r[0]) == path {
			n++
		}
	}
	return n
}

// TestStopBackup_4_1_Replaced moves the directory away under a server that runs on in
// it, and puts another into its place: what is copied is no backup of the path.
func TestStopBackup_4_1_Replaced(t *testing.T) {
	t.Parallel()
	c := newPrimary(t, nil)
	s := serve(t, c)
	leader, _ := startBackup(t, s)
	moved := c.Dir + ".moved"
	must(t, os.Rename(c.Dir, moved))
	t.Cleanup(func() { os.RemoveAll(c.Dir); must(t, os.Rename(moved, c.Dir)) })
	_, err := command(t, leader, "START_BACKUP") // still the leader
	expectCode(t, err, "55000")
	_, err = command(t, leader, "STOP_BACKUP")
	if e := expectCode(t, err, "55000"); !strings.Contains(e.Message, "was replaced") {
		t.Errorf("answer %q", e.Message)
	}
	if got := backends(t, c); got != "0" {
		t.Errorf("%s sessions are left in backup mode", got)
	}
	_, err = command(t, leader, "START_BACKUP FAST")
	expectCode(t, err, "57P03")
	copyTree(t, moved, c.Dir) // with its postmaster.pid
	for _, session := range []*pgconn.PgConn{leader, replicateOrNil(t, s)} {
		if session == nil {
			continue
		}
		_, err = command(t, session, "START_BACKUP FAST")
		if e := expectCode(t, err, "55000"); !strings.Contains(e.Message, "is not the one that runs on") {
			t.Errorf("answer %q", e.Message)
		}
	}
}

// replicateOrNil is a new session, or nil where the greeting refuses it as it should.
func replicateOrNil(t testing.TB, s *served) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(context.Background(), s.through()+" replication=true")
	if err != nil {
		expectCode(t, err, "55000")
		return nil
	}
	t.Cleanup(func() { closeConn(conn) })
	return conn
}
