package main

import (
	"fmt"
	"net"
	"os"

	"github.com/pgparallel/pgparallel/walsender"
)

// listen opens the Unix socket and, unless the address is empty, the TCP one.
func listen(socketDir string, port int, address string) ([]net.Listener, error) {
	if socketDir == "" {
		socketDir = defaultSocketDir()
	}
	socket, err := walsender.ListenUnix(socketDir, port)
	if err != nil {
		return nil, err
	}
	if address == "" {
		return []net.Listener{socket}, nil
	}
	tcp, err := listenLoopback(address)
	if err != nil {
		socket.Close()
		return nil, err
	}
	return []net.Listener{socket, tcp}, nil
}

// listenLoopback listens where only this machine can connect to. The address that
// is checked is the one that is listened on: a name is looked up once.
func listenLoopback(address string) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("could not listen on %q: %w", address, err)
	}
	if !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("could not listen on %q: not a loopback address, and whoever can connect can read the cluster", address)
	}
	listener, err := net.ListenTCP("tcp", resolved)
	if err != nil {
		return nil, fmt.Errorf("could not listen on %q: %w", address, err)
	}
	return listener, nil
}

// defaultSocketDir is where libpq looks for a server, as far as can be told
// without one: the directory that Debian and Red Hat compile into it, else
// PostgreSQL's own.
func defaultSocketDir() string {
	const distributions = "/var/run/postgresql"
	if info, err := os.Stat(distributions); err == nil && info.IsDir() {
		return distributions
	}
	return "/tmp"
}
