package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

var update = flag.Bool("update", false, "write what the commands print into the scripts")

// TestScript runs testdata/script. The scripts have these commands besides the
// usual ones:
//
//	status N PROGRAM ARG...
//	                    runs a program that must end with exit status N
//	sample DIR [crashed|damaged|tablespace LOCATION]
//	                    writes a small sample cluster
//	start NAME TEXT ARG...
//	                    runs pgparallel in the background, and goes on when it has
//	                    written a line that holds the text to its standard error
//	finish NAME [SIGNAL]
//	                    sends it the signal and waits for its end; fails where the
//	                    program did
//	log NAME            prints its standard error, after its end
//	hangup NAME TEXT    sends it SIGHUP, and goes on when it has then written a line that
//	                    holds the text
//	address NAME        sets PGPORT to the port that it listens on
//
// $SOCK is a new directory with a short name, for sockets.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition:           condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": exitStatus,
			"sample": writeSample,
			"start":  startProgram,
			"finish": finishProgram,
			"log":    printLog,

			"hangup":  hangupProgram,
			"address": setPort,
		},
	})
}

// runningKey is where a script's background programs are, by name.
type runningKey struct{}

func setup(env *testscript.Env) error {
	sock, err := os.MkdirTemp("/tmp", "pgp")
	if err != nil {
		return err
	}
	programs := map[string]*program{}
	env.Values[runningKey{}] = programs
	env.Defer(func() {
		for _, p := range programs {
			p.cmd.Process.Kill() // those that have ended do not mind
			<-p.ended
			p.cmd.Wait()
		}
		os.RemoveAll(sock)
	})
	env.Setenv("SOCK", sock)
	env.Setenv("PGHOST", sock)
	env.Setenv("PGPORT", "5433")
	env.Setenv("PGUSER", "postgres")
	return nil
}

// condition knows root: who runs the test.
func condition(name string) (bool, error) {
	if name != "root" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	return os.Geteuid() == 0, nil
}

func exitStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("ended with %v, want exit status %s", err, args[0])
	}
}

func writeSample(ts *testscript.TestScript, neg bool, args []string) {
	sample := walsendertest.Sample{WALSegmentSize: 1 << 20, SmallFiles: 20}
	switch {
	case neg || len(args) == 0:
		ts.Fatalf("usage: sample DIR [crashed|damaged|tablespace LOCATION]")
	case len(args) == 2 && args[1] == "crashed":
		sample.State = controlfile.StateInProduction
	case len(args) == 2 && args[1] == "damaged":
		sample.DamagedPages = []walsendertest.DamagedPage{{Path: "base/1/20000", Block: 2}}
	case len(args) == 3 && args[1] == "tablespace":
		sample.Tablespaces = []walsendertest.SampleTablespace{{OID: 16500, Location: args[2]}}
	case len(args) != 1:
		ts.Fatalf("unknown kind of sample: %s", args[1:])
	}
	ts.Check(sample.Write(ts.MkAbs(args[0])))
}

// program is a pgparallel in the background.
type program struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has closed its standard error

	mu      sync.Mutex
	log     strings.Builder
	written chan struct{} // closed, and made anew, at each line
}

// read reads what the program writes, until its end.
func (p *program) read(stderr io.Reader) {
	defer close(p.ended)
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		p.mu.Lock()
		p.log.WriteString(lines.Text() + "\n")
		close(p.written)
		p.written = make(chan struct{})
		p.mu.Unlock()
	}
}

// text is what the program has written, and what tells of more.
func (p *program) text() (text string, more <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String(), p.written
}

// await waits until the program has written the text, behind as many bytes as are skipped.
func (p *program) await(ts *testscript.TestScript, text string, skip int) {
	for {
		log, more := p.text()
		if strings.Contains(log[skip:], text) {
			return
		}
		select {
		case <-more:
		case <-p.ended:
			if log, _ := p.text(); !strings.Contains(log[skip:], text) {
				ts.Fatalf("it ended without %q:\n%s", text, log)
			}
		case <-time.After(time.Minute):
			ts.Fatalf("it does not say %q:\n%s", text, log)
		}
	}
}

func startProgram(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: start NAME TEXT ARG...")
	}
	path, err := exec.LookPath("pgparallel") // TestMain has put it on PATH
	ts.Check(err)
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "PGPARALLEL_") && !strings.HasPrefix(variable, allowRoot) // those of tests
	})
	for _, name := range []string{"PGDATA", "PGPARALLEL_CONFIG", "PGPARALLEL_LOG_FORMAT", environmentPrefix + "LOG_LEVLE"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	p := &program{cmd: cmd, written: make(chan struct{}), ended: make(chan struct{})}
	running(ts)[args[0]] = p
	go p.read(stderr) // ends with the program
	p.await(ts, args[1], 0)
}

// hangupProgram sends SIGHUP and waits for what the program says to it.
func hangupProgram(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: hangup NAME TEXT")
	}
	p := running(ts)[args[0]]
	before, _ := p.text()
	ts.Check(p.cmd.Process.Signal(unix.SIGHUP))
	p.await(ts, args[1], len(before))
}

var listening = regexp.MustCompile(`listening on IPv4 address "[^"]*", port (\d+)`)

// setPort sets PGPORT to the port that a server listens on.
func setPort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: address NAME")
	}
	log, _ := running(ts)[args[0]].text()
	match := listening.FindStringSubmatch(log)
	if match == nil {
		ts.Fatalf("it listens on no TCP address:\n%s", log)
	}
	ts.Setenv("PGPORT", match[1])
}

func finishProgram(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: finish NAME [SIGNAL]")
	}
	p := running(ts)[args[0]]
	if len(args) == 2 {
		signal := unix.SignalNum("SIG" + args[1])
		if signal == 0 {
			ts.Fatalf("no signal is called %s", args[1])
		}
		ts.Check(p.cmd.Process.Signal(signal))
	}
	<-p.ended
	err := p.cmd.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		ts.Fatalf("waiting for its end: %v", err)
	}
	if (err != nil) != neg {
		ts.Fatalf("it ended with %v:\n%s", p.cmd.ProcessState, p.log.String())
	}
}

func printLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: log NAME")
	}
	log, _ := running(ts)[args[0]].text()
	_, err := io.WriteString(ts.Stdout(), log)
	ts.Check(err)
}

func running(ts *testscript.TestScript) map[string]*program {
	return ts.Value(runningKey{}).(map[string]*program)
}

// TestScripts_HaveAPurpose holds the scripts to say in their first line what they
// show.
func TestScripts_HaveAPurpose(t *testing.T) {
	names, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "# ") {
			t.Errorf("%s does not begin with its purpose", name)
		}
	}
}
