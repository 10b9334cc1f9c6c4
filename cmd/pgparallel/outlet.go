package main

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

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
