package acceptance_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	pgwire "github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// attack is one kind of peer that wants to hurt. Each call is one try, from an address of
// the loopback network that is the kind's own.
type attack struct {
	name  string
	try   func(ctx context.Context, a *attacker)
	tries atomic.Int64
}

// attacker is what the tries of one kind share.
type attacker struct {
	network, port string // 127.x.y.z are its addresses
	password      string // of the role mallory, who is let in
	held          []net.Conn
}

func (a *attacker) dial(ctx context.Context) (net.Conn, error) {
	from := net.ParseIP(fmt.Sprintf("%s.%d", a.network, 1+rand.IntN(200)))
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", "127.0.0.1:"+a.port)
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(10 * time.Second))
	}
	return conn, err
}

// say sends bytes and reads what comes until the end or the deadline.
func (a *attacker) say(ctx context.Context, p []byte) {
	if conn, err := a.dial(ctx); err == nil {
		_, _ = conn.Write(p)
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}
}

// hold sends bytes and keeps the connection, with the last of those before.
func (a *attacker) hold(ctx context.Context, p []byte) {
	conn, err := a.dial(ctx)
	if err != nil {
		return
	}
	_, _ = conn.Write(p)
	if a.held = append(a.held, conn); len(a.held) > 500 {
		a.held[0].Close()
		a.held = a.held[1:]
	}
}

// login is a session of the role, under TLS; nil where it is refused.
func (a *attacker) login(ctx context.Context, user, password string) *pgconn.PgConn {
	config, err := pgconn.ParseConfig("host=127.0.0.1 sslmode=require replication=database connect_timeout=20 port=" + a.port + " user=" + user)
	if err != nil {
		return nil
	}
	config.Password = password
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return a.dial(ctx) }
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil
	}
	return conn
}

// raw has an admitted session say bytes, and read a little of the answer.
func (a *attacker) raw(ctx context.Context, p []byte) {
	if conn := a.login(ctx, "mallory", a.password); conn != nil {
		_, _ = conn.Conn().Write(p)
		_ = conn.Conn().SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.CopyN(io.Discard, conn.Conn(), 1000)
		conn.Conn().Close()
	}
}

func attacks() []*attack {
	hello := pgwire.StartupMessage{Major: 3, Parameters: map[string]string{"user": "mallory", "replication": "true"}}.Encode(nil)
	query := func(text string) []byte {
		return append(append(binary.BigEndian.AppendUint32([]byte{'Q'}, uint32(len(text)+5)), text...), 0)
	}
	noise := func() []byte {
		p := make([]byte, rand.IntN(2000))
		for i := range p {
			p[i] = byte(rand.Uint32())
		}
		return p
	}
	return []*attack{
		{name: "silent connection", try: func(ctx context.Context, a *attacker) { a.hold(ctx, nil) }},
		{name: "half of a startup packet", try: func(ctx context.Context, a *attacker) { a.hold(ctx, hello[:len(hello)-3]) }},
		{name: "silence after SSLRequest", try: func(ctx context.Context, a *attacker) { a.hold(ctx, pgwire.SSLRequest{}.Encode(nil)) }},
		{name: "bytes behind SSLRequest", try: func(ctx context.Context, a *attacker) { a.say(ctx, append(pgwire.SSLRequest{}.Encode(nil), hello...)) }},
		{name: "noise", try: func(ctx context.Context, a *attacker) { a.say(ctx, noise()) }},
		{name: "HTTP", try: func(ctx context.Context, a *attacker) { a.say(ctx, []byte("GET / HTTP/1.1\r\n\r\n")) }},
		{name: "startup packet of 1 GB", try: func(ctx context.Context, a *attacker) { a.say(ctx, []byte{0x40, 0, 0, 0, 0, 3, 0, 0}) }},
		{name: "TLS handshake dropped", try: func(ctx context.Context, a *attacker) {
			if conn, err := a.dial(ctx); err == nil {
				_ = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}}).HandshakeContext(ctx)
				conn.Close()
			}
		}},
		{name: "wrong cancel key", try: func(ctx context.Context, a *attacker) {
			a.say(ctx, pgwire.CancelRequest{ProcessID: 1<<22 + rand.Uint32N(1<<30), SecretKey: binary.BigEndian.AppendUint32(nil, rand.Uint32())}.Encode(nil))
		}},
		{name: "wrong password", try: func(ctx context.Context, a *attacker) { a.login(ctx, "nightly", fmt.Sprint(rand.Uint64())) }},
		{name: "unknown role", try: func(ctx context.Context, a *attacker) { a.login(ctx, fmt.Sprint("role", rand.Uint64()), "x") }},
		{name: "wrong backup id", try: func(ctx context.Context, a *attacker) {
			a.raw(ctx, query(fmt.Sprintf("JOIN_BACKUP '%016x%016x'", rand.Uint64(), rand.Uint64())))
		}},
		{name: "command of 1 GB", try: func(ctx context.Context, a *attacker) { a.raw(ctx, []byte{'Q', 0x40, 0, 0, 0, 'L', 'I', 'S', 'T'}) }},
		{name: "million parentheses", try: func(ctx context.Context, a *attacker) { a.raw(ctx, query(strings.Repeat("(", 1e6))) }},
		{name: "reader that stops in a COPY", try: func(ctx context.Context, a *attacker) {
			a.raw(ctx, append(query("START_BACKUP"), query("SEND_FILE ('base/5/16384')")...))
		}},
		{name: "noise in a session", try: func(ctx context.Context, a *attacker) { a.raw(ctx, noise()) }},
	}
}

// TestHostile_WhileABackupRuns_Long has all of them at work while a backup is taken through
// TLS with passwords. The backup completes, the operator gets in, and the server stays small.
func TestHostile_WhileABackupRuns_Long(t *testing.T) {
	longtest.Mark(t)
	const (
		senders        = 10
		mostMemory     = 64 << 10                              // kB
		mostConnection = senders + 3 + 2*(senders+32) + 64 + 1 // §1.8, and the one that is being accepted
		mostFiles      = mostConnection + senders*10 + 40      // and what the sessions have open
		rate           = "4M"
	)
	base := t.TempDir()
	data := filepath.Join(base, "data")
	must(t, walsendertest.Sample{WALSegmentSize: 1 << 20, RelationPages: 500, SmallFiles: 1000}.Write(data))
	file := func(name, text string) string {
		path := filepath.Join(base, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	users := filepath.Join(base, "users")
	for _, name := range []string{"nightly", "mallory", "operator"} {
		cmd := command(t, "passwd", "--users="+users, name)
		cmd.Stdin = strings.NewReader("secret of " + name + "\n")
		succeed(t, cmd)
	}
	hba := file("hba.conf", "local replication operator scram-sha-256 monitor=1\nhostssl replication all all scram-sha-256 commands=backup\n")
	s := serve(t, data, "--listen=127.0.0.1:0", "--hba="+hba, "--users="+users, "--tls-self-signed="+filepath.Join(base, "tls"),
		fmt.Sprint("--max-wal-senders=", senders))
	_, rest, _ := strings.Cut(s.stderr.String(), "port ")
	port, _, _ := strings.Cut(rest, "\n")
	pgpass := file("pgpass", "*:*:*:nightly:secret of nightly\n")
	before := memory(t, s, "VmHWM")

	target := filepath.Join(base, "copy")
	b := start(t, command(t, "backup", "-v", "-j", "4", "-r", rate, "-D", target, "-d", "host=localhost hostaddr=127.0.0.1 user=nightly port="+port+
		" sslmode=verify-full channel_binding=require sslrootcert="+filepath.Join(base, "tls", "root.crt")+" passfile="+pgpass))
	if !b.stderr.waitFor("backup worker (3) created", b.ended) {
		t.Fatal("the backup did not begin")
	}

	ctx, stop := context.WithCancel(t.Context())
	all, files := attacks(), 0
	var running sync.WaitGroup
	for i, kind := range all {
		a := &attacker{network: fmt.Sprintf("127.7.%d", i), port: port, password: "secret of mallory"}
		running.Go(func() { // ends with the backup
			for ctx.Err() == nil {
				kind.try(ctx, a)
				kind.tries.Add(1)
			}
			for _, conn := range a.held {
				conn.Close()
			}
		})
	}
	for ended := false; !ended; {
		select {
		case <-b.ended:
			ended = true
		case <-time.After(50 * time.Millisecond): // how often the descriptors are counted
			open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
			must(t, err)
			files = max(files, len(open))
		}
	}
	operator, err := pgconn.Connect(t.Context(), "host="+s.socketDir+" port=5433 user=operator password='secret of operator' replication=database")
	if err != nil {
		t.Errorf("the operator does not get in: %v", err)
	} else {
		must(t, operator.Close(t.Context()))
	}
	stop()
	running.Wait()

	if b.status() != 0 {
		t.Errorf("the backup ended with status %d", b.status())
	}
	succeed(t, command(t, "verify", target))
	for _, kind := range all {
		t.Logf("%8d × %s", kind.tries.Load(), kind.name)
	}
	peak, threads := memory(t, s, "VmHWM"), memory(t, s, "Threads")
	t.Logf("the server had at most %d kB of memory (%d kB before; %d kB are allowed), %d descriptors (%d are allowed), and has %d threads",
		peak, before, mostMemory, files, mostFiles, threads)
	lines := strings.Count(s.stderr.String(), "\n")
	t.Logf("its log has %d lines", lines)
	if peak > mostMemory {
		t.Errorf("the server had %d kB of memory, more than %d", peak, mostMemory)
	}
	if files > mostFiles {
		t.Errorf("the server had %d descriptors, more than %d", files, mostFiles)
	}
}
