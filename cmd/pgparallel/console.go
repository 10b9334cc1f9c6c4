package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
)

// console is where a command talks to its user: results on standard output, all
// else on standard error, in the form of PostgreSQL's programs. It may be used
// from several goroutines.
type console struct {
	stdout   io.Writer
	stderr   io.Writer
	terminal bool // stderr is one

	mu     sync.Mutex
	status int // the length of the status line that the cursor stands in; 0: none
}

func newConsole(stdout, stderr *os.File) *console {
	c := &console{stdout: &outlet{file: stdout}, stderr: &outlet{file: stderr}}
	c.terminal = isTerminal(c.stderr)
	return c
}

// isTerminal reports whether w is an outlet to a terminal.
func isTerminal(w io.Writer) bool {
	o, ok := w.(*outlet)
	if !ok {
		return false
	}
	info, err := o.file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// hurry has nothing wait for somebody to read what is written, from now on.
func (c *console) hurry() {
	for _, w := range []io.Writer{c.stdout, c.stderr} {
		if o, ok := w.(*outlet); ok {
			o.hurried.Store(true)
		}
	}
}

// outputError says that something is not on standard output that should be.
func (c *console) outputError() error {
	o, ok := c.stdout.(*outlet)
	if !ok || o.failure() == nil {
		return nil
	}
	return fmt.Errorf("could not write to standard output: %w", systemError(o.failure()))
}

// mayBeCut says of what was printed that a reader who has seen enough of it, as head, is no
// failure.
func (c *console) mayBeCut() {
	if o, ok := c.stdout.(*outlet); ok {
		o.mu.Lock()
		defer o.mu.Unlock()
		if errors.Is(o.err, unix.EPIPE) {
			o.err = nil
		}
	}
}

// systemError is what the system said, without the operation and the file.
func systemError(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// print writes text to standard output as it is. That it did not get there is
// outputError's to tell.
func (c *console) print(text string) { fmt.Fprint(c.stdout, text) }

// error tells what went wrong, with the server's detail and hint where it was the
// server that refused.
func (c *console) error(err error) {
	c.say("error: " + errorText(err))
	if refused, ok := errors.AsType[*protocol.Error](err); ok {
		c.explanation(refused)
	}
}

// errorText is what err says, without the severity ahead of it that "error:" says
// already.
func errorText(err error) string { return strings.TrimPrefix(err.Error(), protocol.SeverityError+": ") }

func (c *console) warning(text string) { c.say("warning: " + text) }
func (c *console) hint(text string)    { c.say("hint: " + text) }
func (c *console) info(text string)    { c.say(text) }

// explanation is what a server added to its message.
func (c *console) explanation(e *protocol.Error) {
	if e.Detail != "" {
		c.say("detail: " + e.Detail)
	}
	if e.Hint != "" {
		c.hint(e.Hint)
	}
}

func (c *console) say(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endStatus()
	fmt.Fprintf(c.stderr, "%s: %s\n", programName, text)
}

// replaceStatus shows a line about how far things are: on a terminal in place of the
// one before, elsewhere as a line of its own.
func (c *console) replaceStatus(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.terminal {
		fmt.Fprintln(c.stderr, text)
		return
	}
	// The carriage return comes last, as pg_basebackup has it, so that whoever
	// writes to the terminal besides us begins on the left.
	rest := strings.Repeat(" ", max(0, c.status-len(text)))
	fmt.Fprintf(c.stderr, "%s%s\r", text, rest)
	c.status = len(text)
}

// keepStatus ends the status line, so that it stays on the terminal.
func (c *console) keepStatus() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endStatus()
}

func (c *console) endStatus() {
	if c.status > 0 {
		fmt.Fprintln(c.stderr)
		c.status = 0
	}
}

// outlet is standard output or standard error. It keeps the first error of a write: of
// what was asked for on standard output, the exit status depends on it. It may be used
// from several goroutines.
type outlet struct {
	file    *os.File
	hurried atomic.Bool // a write does not wait for a reader any more

	mu  sync.Mutex
	err error
}

// errNobodyReads is the error of a write that would wait, after hurry.
var errNobodyReads = errors.New("nobody reads it")

// Write implements io.Writer. A pipe that is full, or a terminal that was stopped, is
// waited for.
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	written := 0
	for written < len(p) {
		if !o.ready() {
			o.keep(errNobodyReads)
			return written, errNobodyReads
		}
		// So much can be written to a pipe that is ready without waiting.
		n, err := o.file.Write(p[written:min(len(p), written+pipeBuffer)])
		written += n
		if err != nil {
			o.keep(err)
			return written, err
		}
	}
	return written, nil
}

// pipeBuffer is what POSIX calls PIPE_BUF, on Linux.
const pipeBuffer = 4096

// ready waits until a write need not wait, or hurry was called.
func (o *outlet) ready() bool {
	descriptor := []unix.PollFd{{Fd: int32(o.file.Fd()), Events: unix.POLLOUT}}
	for {
		n, err := unix.Poll(descriptor, 100)
		switch {
		case n > 0:
			return true // if it is an error that is ready, the write tells
		case err != nil && !errors.Is(err, unix.EINTR):
			return true
		case o.hurried.Load():
			return false
		}
	}
}

func (o *outlet) keep(err error) {
	if o.err == nil {
		o.err = err
	}
}

// failure is the first error of a write.
func (o *outlet) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
