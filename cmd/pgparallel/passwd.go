package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/auth"
)

const passwdUsage = `pgparallel passwd makes the line of a user for the users file of pgparallel serve.
The line holds what a server needs to check the password, not the password.

Usage:
  pgparallel passwd [OPTION]... USER [GROUP]...

Options:
      --users=FILE       put the line into this file, in place of the user's old
                         one, instead of printing it; the user's groups stay
                         unless others are given
      --iterations=NUM   iterations of SCRAM, as PostgreSQL's scram_iterations
                         (default: 4096)

Other options:
  -V, --version          output version information, then exit
  -?, --help             show this help, then exit

The password is asked for twice. Where standard input is not a terminal, it is
the first line there.
`

type passwdCommand struct {
	User       string   `arg:""`
	Groups     []string `arg:"" optional:""`
	Users      string
	Iterations scramIterations `default:"4096"`
}

func (*passwdCommand) usage() string { return passwdUsage }

func (c *passwdCommand) run(out *console) error {
	password, err := newPassword(context.Background(), out, c.User)
	if err != nil {
		return err
	}
	verifier, err := auth.NewVerifier(password, int(c.Iterations))
	if err != nil {
		return err
	}
	if c.Users != "" {
		return auth.SetPassword(c.Users, c.User, verifier, c.Groups...)
	}
	out.print(auth.UserLine(c.User, verifier, c.Groups...) + "\n")
	return nil
}

// scramIterations is the value of --iterations.
type scramIterations int

// UnmarshalText reads a number in the range of PostgreSQL's parameter.
func (n *scramIterations) UnmarshalText(text []byte) error {
	value, err := parseInteger(text, "--iterations", 1, math.MaxInt32)
	*n = scramIterations(value)
	return err
}

// newPassword asks for a password twice at a terminal, else it reads a line.
func newPassword(ctx context.Context, out *console, user string) (string, error) {
	if _, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), getTermios); err != nil {
		line, err := readLine(ctx, os.Stdin)
		if err != nil && (err != io.EOF || line == "") {
			return "", fmt.Errorf("could not read password: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	first, err := readPassword(ctx, os.Stdin, out.stderr, os.Stdin, fmt.Sprintf("Enter new password for user %q: ", user))
	if err != nil {
		return "", fmt.Errorf("could not read password: %w", err)
	}
	again, err := readPassword(ctx, os.Stdin, out.stderr, os.Stdin, "Enter it again: ")
	if err != nil {
		return "", fmt.Errorf("could not read password: %w", err)
	}
	if first != again {
		return "", errors.New("the two passwords are not the same")
	}
	return first, nil
}
