package acceptance_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// patience bounds what a test waits for. It is far above what anything takes.
const patience = 2 * time.Minute

// command is the program with arguments, and without the environment's word on where
// to connect to.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program, err := build()
	must(t, err)
	cmd := exec.Command(program, args...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "PG") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, allowRoot+"=on")
	return cmd
}

// process is a program that runs, or has run.
type process struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer // to be read when it has ended
	stderr transcript
	ended  chan struct{} // closed then
}

// start starts a program, which is killed when the test ends. If the test has failed
// by then, it tells what the program said.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	must(t, cmd.Start())
	go func() { // ends with the process
		cmd.Wait() // its outcome is in cmd.ProcessState
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.signal(unix.SIGKILL)
		<-p.ended
		if t.Failed() {
			t.Logf("%v said:\n%s", cmd, p.stderr.String())
		}
	})
	return p
}

// run runs a program to its end.
func run(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := start(t, cmd)
	p.wait(t)
	return p
}

func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("%v does not come to its end", p.cmd)
	}
}

// status is the exit status of a process that has ended, -1 if a signal ended it.
func (p *process) status() int { return p.cmd.ProcessState.ExitCode() }

func (p *process) signal(s os.Signal) {
	p.cmd.Process.Signal(s) // an error says that it has ended already
}

// succeed is run for a program that must not fail.
func succeed(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := run(t, cmd)
	if p.status() != 0 {
		t.Fatalf("%v: %v", cmd, p.cmd.ProcessState)
	}
	return p
}

// server is a "pgparallel serve" that takes connections.
type server struct {
	*process
	socketDir string
}

// serve serves a data directory, with more options, until the test ends.
func serve(t *testing.T, dataDir string, options ...string) *server {
	t.Helper()
	s := &server{socketDir: socketDir(t)}
	s.process = start(t, command(t, append([]string{"serve", "-D", dataDir, "-k", s.socketDir}, options...)...))
	if !s.stderr.waitFor("ready to serve base backups", s.ended) {
		t.Fatalf("the server did not start:\n%s", s.stderr.String())
	}
	return s
}

// backup is the command that takes a backup from the server on a socket.
func backup(t *testing.T, socketDir, target string, options ...string) *exec.Cmd {
	t.Helper()
	return command(t, append([]string{"backup", "-h", socketDir, "-p", "5433", "-U", "postgres", "-D", target}, options...)...)
}

// socketDir is a directory whose name is short enough for a socket.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pgp")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// transcript is what a process writes, for several goroutines.
type transcript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{} // closed at the next write; nil: nobody waits
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.written != nil {
		close(t.written)
		t.written = nil
	}
	return t.text.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// waitFor waits until the transcript holds a text, and reports false if the process
// ends, or patience, before it does.
func (t *transcript) waitFor(text string, ended <-chan struct{}) bool {
	deadline := time.After(patience)
	for {
		t.mu.Lock()
		if bytes.Contains(t.text.Bytes(), []byte(text)) {
			t.mu.Unlock()
			return true
		}
		if t.written == nil {
			t.written = make(chan struct{})
		}
		written := t.written
		t.mu.Unlock()
		select {
		case <-written:
		case <-ended:
			return false
		case <-deadline:
			return false
		}
	}
}

// verifyBackup has PostgreSQL verify a backup, which is given to its user together
// with the directories of its tablespaces.
func verifyBackup(t *testing.T, p postgres.Programs, dir string, tablespaces ...string) {
	t.Helper()
	for _, owned := range append(tablespaces, dir) {
		must(t, p.Own(owned))
	}
	if _, err := p.Run(t.Context(), "pg_verifybackup", dir); err != nil {
		t.Errorf("%v", err)
	}
}

// sql runs statements in the database postgres of a cluster that runs.
func sql(t *testing.T, c *postgres.Cluster, statements string) string {
	t.Helper()
	out, err := c.SQL(t.Context(), "postgres", statements)
	must(t, err)
	return out
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
