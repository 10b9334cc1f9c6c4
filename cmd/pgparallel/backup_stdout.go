package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/client"
)

// toStdout sends the backup to standard output if -D says so. The function that it
// returns must be called after the backup.
func (c *backupCommand) toStdout(options *client.Options, out *console) (restore func(), err error) {
	restore = func() {}
	switch {
	case c.Pgdata != "-":
	case c.DryRun:
		options.Archive.Output = io.Discard
	default:
		options.Archive.Output, restore, err = archiveOutput(out.stdout)
	}
	return restore, err
}

// archiveOutput is standard output for a backup that goes there: one that a signal
// can interrupt while nobody reads at the other end of a pipe. Until restore is called
// nothing else must be written to it.
func archiveOutput(stdout io.Writer) (output io.Writer, restore func(), err error) {
	out, ok := stdout.(*outlet)
	if !ok {
		return stdout, func() {}, nil
	}
	file := out.file
	info, err := file.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return file, func() {}, err
	}
	fd, err := unix.Dup(int(file.Fd()))
	if err != nil {
		return nil, nil, fmt.Errorf("could not open standard output: %w", err)
	}
	// The mode is that of the pipe, so that whoever shares it has it as well.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, nil, fmt.Errorf("could not open standard output: %w", err)
	}
	pipe := os.NewFile(uintptr(fd), file.Name())
	return pipe, func() {
		unix.SetNonblock(int(file.Fd()), false)
		pipe.Close()
	}, nil
}
