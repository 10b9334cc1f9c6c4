package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/protocol"
)

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// The leader tries what there is; the workers go where it arrived, and straight.
func TestDial_5_1_Address(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	dead.Close()
	for _, test := range []struct {
		name, options string
		more          int // connections besides the four of the backup
	}{
		{"second host", "sslmode=disable", 0},
		{"no TLS there", "sslmode=prefer", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			config, err := pgconn.ParseConfig(fmt.Sprintf("host=localhost,127.0.0.1 port=%d,%d user=u %s", port(dead), port(f.listener), test.options))
			must(t, err)
			_, err = Backup(t.Context(), Options{ConnConfig: config, Dir: filepath.Join(t.TempDir(), "copy"), Jobs: 3})
			must(t, err)
			if want := 4 + test.more; f.dialed() != want {
				t.Errorf("%d connections, want %d", f.dialed(), want)
			}
		})
	}
}

// A hostaddr is connected to, whatever host says, and whichever cluster a socket of this
// machine would lead to (B05); the database of -d is in every startup packet.
func TestDial_Hostaddr(t *testing.T) {
	f := newFake(t)
	t.Setenv("PGHOSTADDR", "127.0.0.1")
	for _, connString := range []string{"", "host=nowhere.invalid", "hostaddr=127.0.0.1", "host=/nonexistent"} {
		f.startups = nil
		info := connInfo(t, fmt.Sprintf("%s port=%d user=u sslmode=disable dbname=pp", connString, port(f.listener)))
		_, err := Backup(t.Context(), Options{ConnInfo: info, Dir: filepath.Join(t.TempDir(), "copy"), Jobs: 2})
		must(t, err)
		if len(f.startups) != 3 {
			t.Errorf("%s: %d connections", connString, len(f.startups))
		}
		for _, got := range f.startups {
			want := map[string]string{"user": "u", "database": "pp", "replication": "true", "application_name": "pgparallel"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: startup parameters (-want +got):\n%s", connString, diff)
			}
		}
	}
	t.Setenv("PGHOSTADDR", "192.0.2.1")
	_, err := Backup(t.Context(), Options{
		ConnInfo: connInfo(t, fmt.Sprintf("host=127.0.0.1 port=%d user=u connect_timeout=2", port(f.listener))),
		Dir:      filepath.Join(t.TempDir(), "copy"), WriteRecoveryConf: true,
	})
	if err == nil || !strings.Contains(err.Error(), "192.0.2.1") {
		t.Errorf("with an address where nobody is: error %v", err)
	}
}

func TestDial_Parameters(t *testing.T) {
	f := newFake(t)
	for _, name := range []string{"", "mine"} {
		f.startups = nil
		config := f.config()
		if name != "" {
			config.RuntimeParams["application_name"] = name
		}
		before := config.Copy()
		_, err := Backup(t.Context(), Options{ConnConfig: config, Dir: filepath.Join(t.TempDir(), "copy"), Jobs: 2})
		must(t, err)
		if diff := cmp.Diff(before.RuntimeParams, config.RuntimeParams); diff != "" {
			t.Errorf("the caller's parameters were changed:\n%s", diff)
		}
		want := map[string]string{"user": "u", "replication": "true", "application_name": name}
		if name == "" {
			want["application_name"] = "pgparallel"
		}
		for _, got := range f.startups {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("startup parameters (-want +got):\n%s", diff)
			}
		}
	}
}

func TestDial_Unreachable(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	dead.Close()
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d user=u sslmode=prefer", port(dead)))
	must(t, err)
	err = expectFailure(t, Options{ConnConfig: config}, "connection to server")
	if want := fmt.Sprintf(`connection to server at "127.0.0.1", port %d failed: connection refused`, port(dead)); err.Error() != want {
		t.Errorf("error is %q, want %q", err, want)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); !ok {
		t.Errorf("error is a %T", err)
	}
}

// What a server says to every connection is told once.
func TestDial_1_4_Notices(t *testing.T) {
	f := newFake(t)
	f.greeting = protocol.Warningf("options have no effect")
	told := 0
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), Jobs: 4, Log: func(e Event) {
		if e.Notice != nil && e.Level == LevelWarning {
			told++
		}
	}})
	must(t, err)
	if told != 1 {
		t.Errorf("told %d times on %d connections", told, f.dialed())
	}
}

// slowConn is a connection whose first write takes long, though all is sent.
type slowConn struct {
	net.Conn
	written bool
}

func (c *slowConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if !c.written {
		time.Sleep(50 * time.Millisecond) // pgconn takes 15 ms for long, by the real clock
	}
	c.written = true
	return n, err
}

// What pgconn does against deadlocks must not take the answers to our commands.
func TestDial_SlowWrites(t *testing.T) {
	f := newFake(t)
	config := f.config()
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		return &slowConn{Conn: c}, err
	}
	_, err := Backup(t.Context(), Options{ConnConfig: config, Dir: filepath.Join(t.TempDir(), "copy"), Jobs: 2})
	must(t, err)
	commands := f.commands(-1)
	if !slices.Contains(commands, "") {
		t.Error("no connection was read by two: this test tests nothing")
	}
	if slices.Contains(commands, "-- ping") { // an ERROR in a log, see above
		t.Errorf("what it asks is a comment: %q", commands)
	}
}
