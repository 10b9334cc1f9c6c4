package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pgparallel/pgparallel/walsender/conformance/internal/clientkit"
)

// program is a client that is run as a program.
type program []string

// Lacks is a placeholder that no argument has.
func (p program) Lacks(needed []string) string {
	for _, placeholder := range needed {
		if !strings.Contains(strings.Join(p, "\x00"), placeholder) {
			return placeholder
		}
	}
	return ""
}

// CanBeKilled is true.
func (p program) CanBeKilled() bool { return true }

// arguments are the program's with the placeholders replaced.
func (p program) arguments(t clientkit.Target) []string {
	values := strings.NewReplacer(
		"{host}", t.Host, "{port}", strconv.Itoa(t.Port), "{dir}", t.Dir, "{jobs}", strconv.Itoa(t.Jobs), "{min-jobs}", strconv.Itoa(t.MinJobs),
		"{case}", t.Case, "{wal}", t.WAL, "{tablespace-old}", t.TablespaceOld, "{tablespace-new}", t.TablespaceNew,
	)
	var args []string
	for _, arg := range p {
		args = append(args, values.Replace(arg))
	}
	return args
}

// Take runs the program, in a process group of its own.
func (p program) Take(ctx context.Context, t clientkit.Target, signaled <-chan struct{}, signals []os.Signal) (clientkit.Outcome, error) {
	output := &tail{}
	args := p.arguments(t)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second // its children may hold the pipe
	if err := cmd.Start(); err != nil {
		return clientkit.Outcome{}, fmt.Errorf("could not start the client: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the program, which is killed at the latest when ctx ends
	timedOut, waitErr := p.watch(ctx, cmd, ended, signaled, signals)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // children that are left, if any
	if _, exited := errors.AsType[*exec.ExitError](waitErr); waitErr != nil && !exited && !errors.Is(waitErr, exec.ErrWaitDelay) {
		return clientkit.Outcome{}, fmt.Errorf("could not wait for the client: %w", waitErr)
	}
	o := clientkit.Outcome{Status: cmd.ProcessState.ExitCode(), TimedOut: timedOut, Output: output.String()}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		o.Signal = status.Signal()
	}
	o.NotSupported = o.Status == StatusNotSupported
	return o, nil
}

// watch waits for the program's end, and brings it about where it has to.
func (p program) watch(ctx context.Context, cmd *exec.Cmd, ended <-chan error, signaled <-chan struct{}, signals []os.Signal) (timedOut bool, err error) {
	for {
		select {
		case err := <-ended:
			return timedOut, err
		case <-signaled:
			signaled = nil
			for i, signal := range signals {
				if i > 0 {
					time.Sleep(betweenSignals)
				}
				p.signal(cmd, signal)
			}
		case <-ctx.Done():
			timedOut = true
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it has ended
			return timedOut, <-ended
		}
	}
}

// betweenSignals is long enough for two equal signals to be two, and short enough for
// the second to come in the cleanup that the first has begun.
const betweenSignals = 40 * time.Millisecond

// signal sends a signal; SIGKILL to the program's children, too.
func (p program) signal(cmd *exec.Cmd, signal os.Signal) {
	if signal == os.Kill {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it has ended
		return
	}
	_ = cmd.Process.Signal(signal) // it has ended
}

// environment is this process's without what libpq would heed.
func environment() []string {
	var kept []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") {
			kept = append(kept, v)
		}
	}
	return kept
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// longestOutput is how much of a client's output is kept, in bytes.
const longestOutput = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if over := t.buf.Len() - longestOutput; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// function is a client in this process.
type function Client

func (function) Lacks([]string) string { return "" }
func (function) CanBeKilled() bool     { return false }

func (f function) Take(ctx context.Context, t clientkit.Target, _ <-chan struct{}, _ []os.Signal) (clientkit.Outcome, error) {
	ended := make(chan error, 1)
	go func() { ended <- f(ctx, Target(t)) }() // ends when the client obeys ctx
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = <-ended
		return clientkit.Outcome{Status: -1, TimedOut: true, Output: fmt.Sprint(err)}, nil
	}
	o := clientkit.Outcome{NotSupported: errors.Is(err, ErrNotSupported)}
	if err != nil {
		o.Status, o.Output = 1, err.Error()
	}
	return o, nil
}
