package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Command prepares a program of the installation, or one that is given by a
// path with a slash; some a newer major may lend: see [All]. It runs as the
// server's user, in the root directory (which every user may read), with LC_ALL=C
// and without this process's PG* variables. It is killed when ctx ends; the caller
// starts it and waits for it.
func (p Programs) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if !strings.Contains(name, "/") {
		name = filepath.Join(p.dirOf(name), name)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	cmd.Env = p.environ()
	cmd.WaitDelay = 5 * time.Second
	if p.user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &p.user.Credential}
	}
	return cmd
}

// Run runs a [Programs.Command] and returns what it wrote to its standard
// output. The error carries what it wrote to its standard error; it wraps the
// context's where that ended it, else the *[exec.ExitError].
func (p Programs) Run(ctx context.Context, name string, args ...string) (string, error) {
	return run(ctx, p.Command(ctx, name, args...))
}

func run(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		return stdout.String(), nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	err = fmt.Errorf("%s: %w", filepath.Base(cmd.Path), err)
	if text := bytes.TrimSpace(stderr.Bytes()); len(text) > 0 {
		err = fmt.Errorf("%w\n%s", err, text)
	}
	return stdout.String(), err
}

// environ is this process's environment without what would change the
// programs' behaviour, and with PATH leading to the installation.
func (p Programs) environ() []string {
	env := []string{
		"LC_ALL=C",
		"HOME=/",
		"PATH=" + p.BinDir + string(os.PathListSeparator) + os.Getenv("PATH"),
	}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(name, "PG"), strings.HasPrefix(name, "LC_"), strings.HasPrefix(name, "LANG"):
		case name == "HOME", name == "PATH", name == "PWD", name == "USER", name == "LOGNAME":
		default:
			env = append(env, kv)
		}
	}
	return env
}
