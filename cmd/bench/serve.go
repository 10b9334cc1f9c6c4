package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// serveProcess is a "pgparallel serve" beside a running cluster.
type serveProcess struct {
	cmd       *exec.Cmd
	socketDir string
	port      int           // of TCP, and in the name of the socket
	ended     chan struct{} // closed when it has ended
	err       error         // how it has; not to be read before
}

// startServe has pgparallel serve the source, as the same user as PostgreSQL, over the Unix socket,
// TCP and TLS. On an address that is no loopback one, or empty, the rules of a file decide who is
// let in. It is stopped with the source.
func (s *source) startServe(ctx context.Context, pgparallel, address, hba string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	s.program, err = s.lend(pgparallel)
	if err != nil {
		return err
	}
	args := []string{"serve", "-D", s.cluster.Dir, "-k", s.cluster.SocketDir, "-p", strconv.Itoa(port),
		"--cluster=" + s.cluster.ConnString("postgres"), "--passthrough-superuser=postgres", "--max-wal-senders=80"}
	if address == "" {
		args = append(args, "--listen="+net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), "--auth=trust")
	} else {
		args = append(args, "--listen="+net.JoinHostPort(address, strconv.Itoa(port)), "--hba="+hba)
	}
	if s.tls.Certificate != "" {
		args = append(args, "--tls-cert="+s.tls.Certificate, "--tls-key="+s.tls.Key)
	}
	p := &serveProcess{cmd: s.programs.Command(ctx, s.program, args...), socketDir: s.cluster.SocketDir, port: port, ended: make(chan struct{})}
	log, err := p.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	s.serve = p
	return p.awaitReady(log)
}

// awaitReady reads the log until the server is ready, and on until it has ended.
func (p *serveProcess) awaitReady(log io.Reader) error {
	ready := make(chan bool, 1)
	said := new(strings.Builder)
	go func() { // ends with the server
		lines, told := bufio.NewScanner(log), false
		for lines.Scan() {
			if !told {
				fmt.Fprintln(said, lines.Text())
			}
			if !told && strings.Contains(lines.Text(), "ready to serve") {
				told = true
				ready <- true
			}
		}
		io.Copy(io.Discard, log) // what follows a line that is too long
		p.err = p.cmd.Wait()
		close(p.ended)
		close(ready)
	}()
	if <-ready {
		return nil
	}
	return fmt.Errorf("pgparallel serve: %v\n%s", p.err, tail(said.String(), 2000))
}

// stop ends the server.
func (p *serveProcess) stop() {
	p.cmd.Process.Signal(syscall.SIGINT) // fails where it has ended
	<-p.ended
}

// lend copies a program to where the user of PostgreSQL can run it.
func (s *source) lend(program string) (string, error) {
	lent := filepath.Join(s.top, filepath.Base(program))
	if _, err := os.Stat(lent); err == nil {
		return lent, nil
	}
	text, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(lent, text, 0o755); err != nil {
		return "", err
	}
	return lent, nil
}
