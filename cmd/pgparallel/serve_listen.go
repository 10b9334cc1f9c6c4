package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender"
)

// listen opens what serve listens on: for sessions, and for metrics, nil without them.
func (c *serveCommand) listen() (sessions []net.Listener, metrics net.Listener, err error) {
	if metrics, err = c.MetricsListen.listen(); err != nil {
		return nil, nil, err
	}
	sessions, err = listen(c.Socketdir, int(c.Port), c.accessOptions)
	if err != nil && metrics != nil {
		metrics.Close()
	}
	return sessions, metrics, err
}

// checkListen listens for a moment. What is in use is returned, and is no error: the server
// that runs with this configuration may be using it.
func (c *serveCommand) checkListen() (inUse, err error) {
	sessions, metrics, err := c.listen()
	if errors.Is(err, walsender.ErrSocketInUse) || errors.Is(err, unix.EADDRINUSE) {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	for _, l := range sessions {
		l.Close()
	}
	if metrics != nil {
		metrics.Close()
	}
	return nil, nil
}

// listen opens the Unix socket, which is the first, and the TCP addresses. Unless the network is open to
// those whom rules let in, the addresses must be loopback ones.
func listen(socketDir string, port int, o accessOptions) ([]net.Listener, error) {
	if socketDir == "" {
		socketDir = defaultSocketDir()
	}
	socket, err := walsender.ListenUnixMode(socketDir, port, fs.FileMode(o.SocketMode))
	if err != nil {
		return nil, err
	}
	listeners := []net.Listener{socket}
	for _, address := range o.Listen {
		tcp, err := listenTCP(address, o.HBA != "")
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return nil, err
		}
		listeners = append(listeners, tcp)
	}
	return listeners, nil
}

// whenFound is ready, where the path of a Unix socket leads to the listener as it does now: no
// client finds it otherwise, and nobody else notices.
func whenFound(socket net.Listener, ready func(context.Context) error) func(context.Context) error {
	path := socket.Addr().String()
	bound, err := os.Lstat(path)
	return func(ctx context.Context) error {
		now, errNow := os.Lstat(path)
		if err != nil || errNow != nil || !os.SameFile(bound, now) {
			return fmt.Errorf("unix socket %q was removed or replaced: nobody can connect to it, start the server anew", path)
		}
		return ready(ctx)
	}
}

// listenTCP listens on an address. The one that is checked is the one that is listened
// on: a name is looked up once.
func listenTCP(address string, ruled bool) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", strings.TrimPrefix(address, "*"))
	if err != nil {
		return nil, fmt.Errorf("could not listen on %q: %w", address, err)
	}
	if !ruled && !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("could not listen on %q: not a loopback address, and whoever can connect can read the cluster: use --hba", address)
	}
	listener, err := net.ListenTCP(family(resolved.IP), resolved)
	if err != nil {
		return nil, fmt.Errorf("could not listen on %q: %w", address, err)
	}
	return listener, nil
}

// family is the network to listen on. Go would listen on IPv6 addresses as well where
// 0.0.0.0 is asked for.
func family(ip net.IP) string {
	switch {
	case ip == nil:
		return "tcp" // every address of both kinds
	case ip.To4() != nil:
		return "tcp4"
	}
	return "tcp6"
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

// described is where the listener listens, in PostgreSQL's words. Those have none for a
// socket of both families.
func described(l net.Listener) string {
	tcp, ok := l.Addr().(*net.TCPAddr)
	switch {
	case !ok:
		return fmt.Sprintf("Unix socket %q", l.Addr().String())
	case servesBothFamilies(l):
		return fmt.Sprintf("all addresses (IPv4 and IPv6), port %d", tcp.Port)
	case tcp.IP.To4() == nil:
		return fmt.Sprintf("IPv6 address %q, port %d", tcp.IP.String(), tcp.Port)
	}
	return fmt.Sprintf("IPv4 address %q, port %d", tcp.IP.String(), tcp.Port)
}

// servesBothFamilies reports whether the socket takes connections over IPv4 and IPv6. Its
// address does not tell: it is :: as well where that was asked for, and IPv6 alone.
func servesBothFamilies(l net.Listener) bool {
	tcp, ok := l.(*net.TCPListener)
	if !ok || !tcp.Addr().(*net.TCPAddr).IP.Equal(net.IPv6unspecified) {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	both := false
	err = raw.Control(func(fd uintptr) {
		only, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		both = err == nil && only == 0
	})
	return err == nil && both
}
