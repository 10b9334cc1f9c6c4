package walsender_test

import (
	"crypto/tls"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender"
)

// Limits of a session's memory, in bytes: heap and stacks. What the kernel buffers is its
// own.
const (
	idleLimit   = 64 << 10
	activeLimit = 1 << 20
)

// inUse is the memory of the process that is in use, in bytes.
func inUse() int64 {
	runtime.GC()
	runtime.GC() // what is pooled goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// eachOf is what one of n things costs that begin makes.
func eachOf(n int, begin func()) int64 {
	before := inUse()
	for range n {
		begin()
	}
	return (inUse() - before) / int64(n)
}

// quietConn is a client's end that costs nothing worth counting: what it has for TLS goes
// when the test lets go of it, and the connection stays.
type quietConn struct{ net.Conn }

func quietDial(t testing.TB, addr net.Addr, config *tls.Config) quietConn {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	if config == nil {
		return quietConn{conn}
	}
	return quietConn{tls.Client(conn, config)}
}

// greeted begins a session.
func (c quietConn) greeted(t testing.TB) {
	t.Helper()
	_, err := c.Write(wire.StartupMessage{Major: 3, Parameters: backupParameters}.Encode(nil))
	must(t, err)
	c.hearReady(t)
}

// ask has commands answered, one after the other.
func (c quietConn) ask(t testing.TB, commands ...string) {
	t.Helper()
	for _, command := range commands {
		c.begin(t, command)
		c.hearReady(t)
	}
}

// begin sends commands and waits for none.
func (c quietConn) begin(t testing.TB, commands ...string) {
	t.Helper()
	var p []byte
	for _, command := range commands {
		p, _ = (&pgproto3.Query{String: command}).Encode(p)
	}
	_, err := c.Write(p)
	must(t, err)
}

// hearReady reads until what a Read has brought ends with ReadyForQuery.
func (c quietConn) hearReady(t testing.TB) {
	t.Helper()
	small, end := make([]byte, 4<<10), "Z\x00\x00\x00\x05I"
	for {
		n, err := c.Read(small)
		must(t, err)
		if strings.HasSuffix(string(small[:n]), end) {
			return
		}
	}
}

// TestLimits_Memory measures what a session takes in each state in which a peer can hold
// it.
func TestLimits_Memory(t *testing.T) {
	const n = 100
	secured := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}}
	work := []string{"START_BACKUP", "LIST_FILES", "SEND_FILE ('base/1/100')", "SEND_FILE ('base/1/100')", "LIST_TABLESPACES"}
	for _, test := range []struct {
		name   string
		client *tls.Config
		limit  int64
		begin  func(t *testing.T, c quietConn)
	}{
		{"half-open", nil, idleLimit, func(t *testing.T, c quietConn) {
			_, err := c.Write([]byte{0, 0, 0x27, 0x10, 0, 3, 0, 0}) // the longest packet is to come
			must(t, err)
		}},
		{"idle", nil, idleLimit, func(t *testing.T, c quietConn) { c.greeted(t) }},
		{"idle, TLS", secured, idleLimit, func(t *testing.T, c quietConn) { c.greeted(t) }},
		{"idle after work", nil, idleLimit, func(t *testing.T, c quietConn) {
			c.greeted(t)
			c.ask(t, work...)
		}},
		{"idle after work, TLS", secured, idleLimit, func(t *testing.T, c quietConn) {
			c.greeted(t)
			c.ask(t, work...)
		}},
		{"in the midst of a command", nil, idleLimit, func(t *testing.T, c quietConn) {
			c.greeted(t)
			_, err := c.Write(append([]byte{'Q', 0, 0, 0x40, 0}, make([]byte, 15<<10)...))
			must(t, err)
		}},
		{"in the midst of a COPY", nil, activeLimit, func(t *testing.T, c quietConn) {
			c.greeted(t)
			c.begin(t, "START_BACKUP", "SEND_FILE ('base/1/big')")
		}},
		{"in the midst of a COPY, with commands ahead, TLS", secured, activeLimit, func(t *testing.T, c quietConn) {
			c.greeted(t)
			c.begin(t, "START_BACKUP", "SEND_FILE ('base/1/big')")
			c.begin(t, slices.Repeat([]string{"SEND_FILE ('base/1/100')"}, 2000)...)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cluster := newMemCluster()
			cluster.entered = make(chan string, 10*n)
			server := &walsender.Server{Cluster: cluster, MaxWALSenders: 2 * n, Backups: sharedstate.NewTable(2 * n)}
			if test.client != nil {
				server.TLSConfig = serverTLS(t)
			}
			addr := serve(t, server)
			each := eachOf(n, func() { test.begin(t, quietDial(t, addr, test.client)) })
			t.Logf("a session takes %d KiB, at most %d KiB are allowed", each>>10, test.limit>>10)
			if each > test.limit {
				t.Errorf("a session takes %d bytes, more than %d", each, test.limit)
			}
		})
	}
}
