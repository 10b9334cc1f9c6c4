package walsender_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/auth"
)

// secret is in every file of the cluster that is fuzzed. It must not leave before somebody
// was let in.
const secret = "what only those may read who were let in"

// scriptedConn is a connection whose peer says what was written down before, and goes away
// when nothing moves any more. It is of use in a bubble of synctest only, where time passes
// once everybody waits.
type scriptedConn struct {
	script []byte
	said   bytes.Buffer // by the server
	closed chan struct{}
	once   sync.Once
}

func (c *scriptedConn) Read(p []byte) (int, error) {
	if len(c.script) > 0 {
		n := copy(p, c.script)
		c.script = c.script[n:]
		return n, nil
	}
	select {
	case <-time.After(time.Minute): // longer than a refusal is held back
		return 0, io.EOF
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *scriptedConn) Write(p []byte) (int, error) { return c.said.Write(p) }

func (c *scriptedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *scriptedConn) CloseWrite() error                { return nil }
func (c *scriptedConn) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (c *scriptedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (c *scriptedConn) SetDeadline(time.Time) error      { return nil }
func (c *scriptedConn) SetReadDeadline(time.Time) error  { return nil }
func (c *scriptedConn) SetWriteDeadline(time.Time) error { return nil }

// playBytes has a server hear the bytes, and returns what it says. A goroutine that is left, or a
// panic, fails the test.
func playBytes(t *testing.T, doors walsender.Authenticator, script []byte) (said []byte) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newMemCluster()
		cluster.files = fstest.MapFS{
			"PG_VERSION":        {Data: []byte(secret)},
			"base/1/100":        {Data: bytes.Repeat([]byte(secret), 100)},
			"global/pg_control": {Data: []byte(secret)},
		}
		cluster.entered = make(chan string, len(script))
		server := &walsender.Server{Cluster: cluster, Authenticator: doors}
		conn := &scriptedConn{script: script, closed: make(chan struct{})}
		err := server.ServeConn(t.Context(), conn)
		if err != nil && bytes.Contains([]byte(err.Error()), []byte("panicked")) {
			t.Error(err)
		}
		must(t, server.Close())
		said = conn.said.Bytes()
	})
	return said
}

// wellFormed takes what a server has said apart, and reports whether it let the peer in. What
// it says before the first message are answers to requests for encryption.
func wellFormed(t *testing.T, said []byte) (letIn bool) {
	t.Helper()
	for len(said) > 0 && said[0] == 'N' && (len(said) < 5 || said[1] != 0) {
		said = said[1:]
	}
	whole := bytes.NewReader(said)
	for messages := pgproto3.NewFrontend(whole, io.Discard); whole.Len() > 0; {
		m, err := messages.Receive()
		if err != nil {
			t.Fatalf("the server says what is no message: %v, in %q", err, said)
		}
		if _, ok := m.(*pgproto3.AuthenticationOk); ok {
			letIn = true
		}
	}
	return letIn
}

// FuzzStartup plays any bytes to a server that lets nobody in without a password: nobody gets
// in, and nothing of a file gets out.
func FuzzStartup(f *testing.F) {
	hello := wire.StartupMessage{Major: 3, Parameters: backupParameters}.Encode(nil)
	initial, _ := (&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte("n,,n=,r=nonce")}).Encode(nil)
	final, _ := (&pgproto3.SASLResponse{Data: []byte("c=biws,r=nonce,p=AAAA")}).Encode(nil)
	command, _ := (&pgproto3.Query{String: "START_BACKUP"}).Encode(nil)
	command, _ = (&pgproto3.Query{String: "SEND_FILE ('PG_VERSION')"}).Encode(command)
	for _, script := range [][][]byte{
		{hello, initial, final, command},
		{hello, command},
		{wire.SSLRequest{}.Encode(nil), hello, initial, final, command},
		{wire.GSSENCRequest{}.Encode(nil), wire.SSLRequest{}.Encode(nil)},
		{wire.CancelRequest{ProcessID: 1 << 23, SecretKey: []byte("1234")}.Encode(nil), hello},
		{wire.StartupMessage{Major: 3, Minor: 2, Parameters: backupParameters, Options: []string{"_pq_.x"}}.Encode(nil), initial},
		{[]byte("GET / HTTP/1.1\r\n\r\n")},
		{{0x16, 3, 1, 2, 0, 1}},
	} {
		f.Add(bytes.Join(script, nil))
	}
	dir := f.TempDir()
	hba, users := filepath.Join(dir, "hba"), filepath.Join(dir, "users")
	must(f, os.WriteFile(hba, []byte("host replication all all scram-sha-256\n"), 0o600))
	verifier, err := auth.NewVerifier("password", 4096)
	must(f, err)
	must(f, os.WriteFile(users, []byte(auth.UserLine("backup", verifier)+"\n"), 0o600))
	doors, err := auth.Open(auth.Config{HBA: hba, Users: users})
	must(f, err)
	f.Fuzz(func(t *testing.T, script []byte) {
		said := playBytes(t, doors, script)
		if wellFormed(t, said) || bytes.Contains(said, []byte(secret)) {
			t.Errorf("%q was let in: %q", script, said)
		}
	})
}

// FuzzSession plays any bytes to a server that has let the peer in.
func FuzzSession(f *testing.F) {
	commands := func(texts ...string) (script []byte) {
		for _, text := range texts {
			script, _ = (&pgproto3.Query{String: text}).Encode(script)
		}
		return script
	}
	f.Add(commands("IDENTIFY_SYSTEM", "START_BACKUP LABEL 'x' FAST MAX_RATE 32", "LIST_TABLESPACES PROGRESS", "LIST_FILES",
		"SEND_FILE ('base/1/100')", "SEND_FILE ('global/pg_control')", "STOP_BACKUP", "SHOW wal_segment_size"))
	f.Add(commands("JOIN_BACKUP '00000000000000000000000000000000'", "JOIN_BACKUP", "SEND_FILE ('../x')", "LIST_WAL_FILES 1 '0/0' '0/1'", ""))
	f.Add(append(commands("START_BACKUP"), message('d', 1<<20, "what is left of a COPY")...))
	f.Add(append(message('P', 4+2, "\x00\x00"), commands("LIST_FILES")...))
	f.Add(append(message('S', 4, ""), message('X', 4, "")...))
	f.Add(message('F', 4, ""))
	hello := wire.StartupMessage{Major: 3, Parameters: backupParameters}.Encode(nil)
	f.Fuzz(func(t *testing.T, script []byte) {
		if said := playBytes(t, nil, append(hello[:len(hello):len(hello)], script...)); !wellFormed(t, said) {
			t.Errorf("nobody is let in: %q", said)
		}
	})
}
