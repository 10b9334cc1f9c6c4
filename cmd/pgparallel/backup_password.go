package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/conninfo"
)

// withPassword does something that connects by info, with a password from the user where
// that was asked for, or where the server wants one and nothing else supplies it.
func (o connectionOptions) withPassword(ctx context.Context, info **conninfo.Info, out *console, do func() error) error {
	if o.Password {
		if err := askPassword(ctx, info, out); err != nil {
			return err
		}
	}
	given := (*info).HasPassword()
	err := do()
	if given || o.Password || !protocol.HasCode(err, protocol.CodeInvalidPassword) {
		return err
	}
	if o.NoPassword {
		return &noPasswordError{err, *info}
	}
	asked := askPassword(ctx, info, out)
	if errors.Is(asked, io.EOF) { // there is nobody to ask
		return &noPasswordError{err, *info}
	}
	if asked != nil {
		return asked
	}
	return do()
}

// noPasswordError is the refusal of a connection that had no password to give: a server
// takes that for a wrong one.
type noPasswordError struct {
	refused error
	info    *conninfo.Info
}

func (e *noPasswordError) Error() string {
	const message = "no password supplied"
	if refused, ok := errors.AsType[*protocol.Error](e.refused); ok {
		if before, ends := strings.CutSuffix(e.refused.Error(), refused.Error()); ends {
			return before + message
		}
	}
	return message
}

func (e *noPasswordError) Unwrap() error { return e.refused }

// hint is where a password was looked for.
func (e *noPasswordError) hint() string {
	file, entries := e.info.MissingPasswords()
	return fmt.Sprintf("PGPASSWORD is not set, and password file %q has no line for %s.", file, strings.Join(entries, " or "))
}

func askPassword(ctx context.Context, info **conninfo.Info, out *console) error {
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	in, prompt := io.Reader(terminal), io.Writer(terminal)
	if err != nil {
		in, prompt = os.Stdin, out.stderr // as libpq's programs do
	} else {
		defer terminal.Close()
	}
	password, err := readPassword(ctx, in, prompt, terminal, "Password: ")
	if err != nil {
		return fmt.Errorf("could not read password: %w", err)
	}
	*info = (*info).WithPassword(password)
	return nil
}

// readPassword asks for a line, which the terminal, where there is one, does not show. It
// hides it before it asks: somebody may type at once. The end of ctx ends it; the terminal
// then shows again what is typed.
func readPassword(ctx context.Context, in io.Reader, out io.Writer, terminal *os.File, prompt string) (string, error) {
	if terminal != nil {
		show, err := hideInput(int(terminal.Fd()))
		if err != nil {
			return "", err
		}
		defer func() {
			show()
			fmt.Fprintln(out)
		}()
	}
	fmt.Fprint(out, prompt)
	line, err := readLine(ctx, in)
	if err != nil && (err != io.EOF || line == "") {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// readLine reads up to the end of a line, or to that of ctx.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // ends with the answer, or with the program
		line, err := bufio.NewReader(in).ReadString('\n')
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		return a.line, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// hideInput turns the terminal's echo off, until the function returned is called.
func hideInput(fd int) (show func(), err error) {
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, setTermios, &hidden); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(fd, setTermios, before) }, nil // nothing else can be done
}
