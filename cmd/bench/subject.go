package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// subject is a program that copies a cluster in one way, and what that cost.
type subject struct {
	path    string // over which it copies: unix, TCP, …
	program string
	against *subject // its ratios are to this one; nil: to itself
	// serves: pgparallel serve is the server.
	serves bool
	// prepare runs before each copy, and is not measured; nil: nothing has to be done.
	prepare func(ctx context.Context, target string) error
	// client copies to the target, which is not there.
	client  func(ctx context.Context, target string) *exec.Cmd
	samples []sample // of the rounds that count
}

// endpoint is how a client reaches a server.
type endpoint struct {
	path, host string
	port       int
	sslmode    string
}

func (s *source) postgresAt(path string) endpoint {
	return s.at(path, s.cluster.SocketDir, s.cluster.Port)
}

func (s *source) serveAt(path string) endpoint {
	return s.at(path, s.serve.socketDir, s.serve.port)
}

func (s *source) at(path, socketDir string, port int) endpoint {
	switch path {
	case "TCP":
		return endpoint{path, "127.0.0.1", port, "disable"}
	case "TLS":
		return endpoint{path, "127.0.0.1", port, "require"}
	}
	return endpoint{path, socketDir, port, "disable"}
}

func (e endpoint) connString() string {
	return fmt.Sprintf("host='%s' port=%d user=postgres sslmode=%s", e.host, e.port, e.sslmode)
}

// pgBasebackup is the stock program, with its defaults but a fast checkpoint: the pages are
// verified, the manifest is written, the WAL is received over a connection of its own.
func (s *source) pgBasebackup(at endpoint, args ...string) *subject {
	return &subject{
		path: at.path, program: "pg_basebackup " + s.basebackupMajor,
		client: func(ctx context.Context, target string) *exec.Cmd {
			return s.programs.Command(ctx, "pg_basebackup", append([]string{"-d", at.connString(), "-D", target, "-c", "fast"}, args...)...)
		},
	}
}

// pgparallel is ours, with the same defaults.
func (s *source) pgparallel(at endpoint, jobs int, args ...string) *subject {
	return &subject{
		path: at.path, program: "pgparallel -j " + strconv.Itoa(jobs), serves: true,
		client: func(ctx context.Context, target string) *exec.Cmd {
			return s.programs.Command(ctx, s.program, append([]string{"backup", "-d", at.connString(), "-D", target, "-c", "fast", "-j", strconv.Itoa(jobs)}, args...)...)
		},
	}
}

// cp copies the files of base/ without asking anybody: what is copied may be torn.
func (s *source) cp() *subject {
	return &subject{
		path: "-", program: "cp -r",
		client: func(ctx context.Context, target string) *exec.Cmd {
			return s.programs.Command(ctx, "/bin/cp", "-r", s.cluster.Dir+"/base", target)
		},
	}
}

// meter is what measures the subject.
func (s *source) meter(of *subject) meter {
	m := meter{postmaster: s.postmaster}
	if of.serves {
		m.serve = s.serve.cmd.Process.Pid
	}
	return m
}

// figures are one figure of each sample.
func (s *subject) figures(of func(sample) time.Duration) []time.Duration {
	var figures []time.Duration
	for _, one := range s.samples {
		figures = append(figures, of(one))
	}
	return figures
}

// ratioOf is the subject's ratio to what it is compared with.
func (s *subject) ratio(of func(sample) time.Duration) ratio {
	base := s.against
	if base == nil {
		base = s
	}
	return ratioOf(s.figures(of), base.figures(of))
}
