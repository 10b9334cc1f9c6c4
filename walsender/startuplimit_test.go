package walsender_test

import (
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender"
)

// countedListener counts the connections that the server has open.
type countedListener struct {
	net.Listener
	open, most, all atomic.Int64
}

func (l *countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.all.Add(1)
	for open := l.open.Add(1); ; {
		if most := l.most.Load(); open <= most || l.most.CompareAndSwap(most, open) {
			return &countedConn{TCPConn: conn.(*net.TCPConn), open: &l.open}, nil
		}
	}
}

type countedConn struct {
	*net.TCPConn
	open *atomic.Int64
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.TCPConn.Close()
}

// serveCounted runs a server until the test ends.
func serveCounted(t testing.TB, server *walsender.Server) *countedListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	counted := &countedListener{Listener: l}
	done := make(chan error, 1)
	go func() { done <- server.Serve(counted) }() // ends with Close
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return counted
}

// dialFrom connects from an address of the loopback network.
func dialFrom(t testing.TB, from string, to net.Addr) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.DialContext(t.Context(), to.Network(), to.String())
	if err != nil {
		t.Skipf("needs the loopback network 127.0.0.0/8: %v", err)
	}
	return conn
}

// crowd is many connections from some addresses, none of which says more than the
// beginning of a startup packet. It keeps the last of them open.
type crowd struct {
	conns []net.Conn
	next  int
}

func newCrowd(t testing.TB, kept int) *crowd {
	c := &crowd{conns: make([]net.Conn, kept)}
	t.Cleanup(func() {
		for _, conn := range c.conns {
			if conn != nil {
				conn.Close()
			}
		}
	})
	return c
}

func (c *crowd) add(conn net.Conn) {
	_, _ = conn.Write([]byte{0, 0, 0}) // the server may have closed it
	if old := c.conns[c.next]; old != nil {
		old.Close()
	}
	c.conns[c.next] = conn
	c.next = (c.next + 1) % len(c.conns)
}

// monitored lets everybody in; the role "operator" may look after the server.
var monitored = authFunc(func(h *walsender.Handshake) (walsender.Grant, error) {
	return walsender.Grant{Backup: true, PassThrough: true, Monitor: h.User == "operator"}, nil
})

// TestHostile_1_8_HalfOpen has 10,000 connections that say nothing, from one address and
// from many, while a backup sends a file.
func TestHostile_1_8_HalfOpen(t *testing.T) {
	half, senders := 10_000, 4
	if testing.Short() {
		half = 2000
	}
	for name, addresses := range map[string]int{"from one address": 1, "from two hundred": 200} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zap.WarnLevel)
			server := &walsender.Server{Cluster: newMemCluster(), MaxWALSenders: senders, Authenticator: monitored, Logger: zap.New(core)}
			l := serveCounted(t, server)
			leader := connect(t, l.Addr(), "backup")
			leader.query("START_BACKUP")
			leader.Send("SEND_FILE ('base/1/big')") // its reader is in no hurry
			goroutines, before := runtime.NumGoroutine(), inUse()

			c := newCrowd(t, 300)
			for i := range half {
				c.add(dialFrom(t, loopback(i%addresses), l.Addr()))
				if i == half/2 {
					connect(t, l.Addr(), "backup") // somebody else still gets in
				}
			}
			connect(t, l.Addr(), "backup")
			grown, threads := inUse()-before, runtime.NumGoroutine()-goroutines
			most, bound := l.most.Load(), int64(senders+3+2*(senders+32)+64+1) // the last is being accepted
			t.Logf("of %d half-open connections at most %d were open, %d are allowed; they take %d KiB and %d goroutines, and %d lines of log",
				half, most, bound, grown>>10, threads, logs.Len())
			if most > bound {
				t.Errorf("%d connections were open at once, more than %d", most, bound)
			}
			if limit := bound * idleLimit; grown > limit {
				t.Errorf("they take %d bytes, more than %d", grown, limit)
			}
			if logs.Len() > 20 {
				t.Errorf("%d lines of log", logs.Len())
			}
			// The backup goes on.
			if n, err := leader.receive(); n != 64<<20 || err != nil {
				t.Errorf("the backup got %d bytes of a file, %v", n, err)
			}
			got := leader.query("STOP_BACKUP")
			wantAnswer(t, got[len(got)-2:], "CommandComplete STOP_BACKUP", ready)
		})
	}
}

func loopback(i int) string { return net.IPv4(127, 1, byte(i/200), byte(1+i%200)).String() }

// TestReserved_1_8 has an operator who still gets in when all places are taken, and what the
// places are for.
func TestReserved_1_8(t *testing.T) {
	const full = "number of requested standby connections exceeds max_wal_senders (currently 1)"
	addr := serve(t, &walsender.Server{Cluster: newPassCluster(), MaxWALSenders: 1, Authenticator: monitored})
	taken := connect(t, addr, "backup")
	wantAnswer(t, rawDial(t, addr).startup(backupParameters), "ErrorResponse FATAL 53300 "+full, "EOF")
	operators := []*rawClient{connect(t, addr, "operator"), connect(t, addr, "operator"), connect(t, addr, "operator")}
	for _, text := range []string{"START_BACKUP", "JOIN_BACKUP 'x'", "LIST_FILES", "SEND_FILE ('PG_VERSION')", "BASE_BACKUP"} {
		wantAnswer(t, operators[0].query(text), "ErrorResponse ERROR 53300 "+full, ready)
	}
	for _, text := range []string{"IDENTIFY_SYSTEM", "SHOW wal_segment_size"} {
		if got := operators[0].query(text); strings.HasPrefix(got[0], "ErrorResponse") {
			t.Errorf("%s: %s", text, got)
		}
	}
	operator := map[string]string{"user": "operator", "replication": "true"}
	wantAnswer(t, rawDial(t, addr).startup(operator), "ErrorResponse FATAL 53300 "+full, "EOF")
	// Each place is given back to those for whom it is.
	operators[1].Conn.Close()
	taken.Conn.Close()
	reconnect(t, addr)
	for end := time.Now().Add(patience); rawDial(t, addr).startup(operator)[0] != "AuthenticationOk"; {
		if time.Now().After(end) {
			t.Fatal("no reserved place is given back")
		}
	}
}

// TestStartupLimit_1_8_PushedOut tells the oldest of the silent connections why it goes.
func TestStartupLimit_1_8_PushedOut(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster(), MaxWALSenders: 1, Authenticator: monitored})
	oldest := rawDial(t, addr)
	for range 1 + 32 {
		rawDial(t, addr)
	}
	wantAnswer(t, oldest.answer(), "ErrorResponse FATAL 53300 sorry, too many clients already", "EOF")
}

// TestStartupLimit_1_8_Fair keeps those of one address from pushing out one of another.
func TestStartupLimit_1_8_Fair(t *testing.T) {
	l := serveCounted(t, &walsender.Server{Cluster: newMemCluster(), MaxWALSenders: 1, Authenticator: monitored})
	slow := newRawClient(t, dialFrom(t, "127.2.0.1", l.Addr()))
	hello := wire.StartupMessage{Major: 3, Parameters: backupParameters}.Encode(nil)
	slow.Write(hello[:7])
	c := newCrowd(t, 300)
	for i := range 600 {
		c.add(dialFrom(t, loopback(i%3), l.Addr()))
	}
	slow.Write(hello[7:])
	if got := slow.answer(); got[len(got)-1] != ready {
		t.Errorf("the slow one got %q", got)
	}
}

// TestStartupLimit_1_10_RefusalsKeepTheirPlaces tries passwords over many connections: those
// that wait for their refusal are not pushed out by more of the same address, which would
// end their wait.
func TestStartupLimit_1_10_RefusalsKeepTheirPlaces(t *testing.T) {
	const places = 1 + 32
	var asked atomic.Int64
	refused := make(chan struct{}, 2*places) // a refusal is logged where it keeps its place already
	noted := func(e zapcore.Entry) error {
		if e.Message == "authentication failed" {
			refused <- struct{}{}
		}
		return nil
	}
	server := &walsender.Server{
		Cluster: newMemCluster(), MaxWALSenders: 1, AuthFailureDelay: time.Hour,
		Logger: zap.New(zapcore.RegisterHooks(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(io.Discard), zap.WarnLevel), noted)),
		Authenticator: authFunc(func(*walsender.Handshake) (walsender.Grant, error) {
			asked.Add(1)
			return walsender.Grant{}, protocol.Fatalf(protocol.CodeInvalidPassword, "no")
		}),
	}
	addr := serve(t, server)
	hello := wire.StartupMessage{Major: 3, Parameters: backupParameters}.Encode(nil)
	for range places {
		rawDial(t, addr).Write(hello)
		<-refused
	}
	for range places {
		wantAnswer(t, rawDial(t, addr).answer(), "ErrorResponse FATAL 53300 sorry, too many clients already", "EOF")
	}
	if more := asked.Load() - places; more > 0 {
		t.Errorf("%d passwords more were looked at", more)
	}
}
