package conninfo

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// dial makes the connections to a server: with the keepalives that the user asked for,
// or those of §7.2, and to a socket of the user who is asked for.
func (i *Info) dial(s server) pgconn.DialFunc {
	var d net.Dialer
	d.KeepAliveConfig = net.KeepAliveConfig{
		Enable:   i.text("keepalives") == "" || i.integer("keepalives") != 0,
		Idle:     i.seconds("keepalives_idle", 30),
		Interval: i.seconds("keepalives_interval", 10),
		Count:    i.count("keepalives_count", 3),
	}
	if !d.KeepAliveConfig.Enable {
		d.KeepAlive = -1
	}
	if limit := i.integer("tcp_user_timeout"); limit > 0 && !s.isUnix() {
		d.Control = func(_, _ string, c syscall.RawConn) error { return setUserTimeout(c, limit) }
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if s.isUnix() {
			network, address = "unix", s.socket() // pgconn knows no abstract ones
		}
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if err := i.checkPeer(c); err != nil {
			c.Close()
			return nil, err
		}
		return c, nil
	}
}

// seconds is a keepalive's time, what is unset, or less than one, for the system's
// default.
func (i *Info) seconds(keyword string, unset int) time.Duration {
	return time.Duration(i.count(keyword, unset)) * time.Second
}

func (i *Info) count(keyword string, unset int) int {
	switch n := i.integer(keyword); {
	case i.text(keyword) == "":
		return unset
	case n <= 0:
		return -1
	default:
		return n
	}
}

// checkPeer makes sure that a socket belongs to the user of requirepeer
// (fe-connect.c, PQconnectPoll).
func (i *Info) checkPeer(c net.Conn) error {
	want := i.text("requirepeer")
	unix, ok := c.(*net.UnixConn)
	if want == "" || !ok {
		return nil
	}
	got, err := peerName(unix)
	if err != nil {
		return fmt.Errorf("could not get the credentials of the server, which requirepeer asks for: %w", err)
	}
	if got != want {
		return fmt.Errorf("requirepeer specifies %q, but actual peer user name is %q", want, got)
	}
	return nil
}
