package walsender_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender"
)

// Of the peers that want to hurt, these are tested elsewhere: silent connections in
// startuplimit_test.go, guesses in guesses_test.go, the exchange of passwords in
// authenticate_test.go, bytes behind an SSLRequest in connection_test.go, readers that stop
// in limits_test.go, what is held in memory_test.go, any bytes at all in fuzz_test.go.

// allocated is how many bytes the process has allocated since it began.
func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}

// message is one with its header, which may announce more than there is.
func message(kind byte, announced int, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(announced)), body...)
}

// TestHostile_FirstBytes sends what is no startup packet, without TLS on the server.
func TestHostile_FirstBytes(t *testing.T) {
	const badLength = "ErrorResponse FATAL 08P01 invalid length of startup packet"
	noise := make([]byte, 4096)
	rand.NewChaCha8([32]byte{'n'}).Read(noise)
	for name, test := range map[string]struct {
		sent []byte
		want []string
	}{
		"HTTP":                {[]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), []string{badLength, "EOF"}},
		"TLS":                 {[]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), []string{badLength, "EOF"}},
		"SSH":                 {[]byte("SSH-2.0-OpenSSH_9.2\r\n"), []string{badLength, "EOF"}},
		"noise":               {noise, []string{badLength, "EOF"}},
		"a gigabyte":          {[]byte{0x40, 0, 0, 0, 0, 3, 0, 0}, []string{badLength, "EOF"}},
		"no length":           {[]byte{0, 0, 0, 0}, []string{badLength, "EOF"}},
		"protocol 2":          {[]byte{0, 0, 0, 8, 0, 2, 0, 0}, []string{"ErrorResponse FATAL 0A000 unsupported frontend protocol 2.0: server supports 3.0 to 3.0", "EOF"}},
		"a session's message": {message('Q', 4+11, "LIST_FILES\x00"), []string{badLength, "EOF"}},
		"no end": {append([]byte{0, 0, 0x27, 0x10, 0, 3, 0, 0}, bytes.Repeat([]byte{'a'}, 9992)...),
			[]string{"ErrorResponse FATAL 08P01 invalid startup packet layout: expected terminator as last byte", "EOF"}},
	} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
			c := rawDial(t, addr)
			before := allocated()
			c.Write(test.sent)
			wantAnswer(t, c.answer(), test.want...)
			wantAllocated(t, before, 256<<10)
		})
	}
}

func wantAllocated(t *testing.T, before, limit int64) {
	t.Helper()
	took := allocated() - before
	t.Logf("both ends allocate %d KiB, %d KiB are allowed", took>>10, limit>>10)
	if took > limit {
		t.Errorf("%d bytes are allocated, more than %d", took, limit)
	}
}

// TestHostile_Messages sends what is no command, in a session.
func TestHostile_Messages(t *testing.T) {
	tooLong := func(n int) string {
		return fmt.Sprintf("ErrorResponse FATAL 08P01 message of %d bytes exceeds the maximum of 16385", n)
	}
	query := func(text string) []byte { return message('Q', 4+len(text)+1, text+"\x00") }
	for name, test := range map[string]struct {
		sent []byte
		want []string
	}{
		"a gigabyte announced":     {message('Q', 1<<30, "LIST"), []string{tooLong(1<<30 - 4), "EOF"}},
		"a gigabyte of CopyData":   {message('d', 1<<30, ""), []string{tooLong(1<<30 - 4), "EOF"}},
		"a negative length":        {message('Q', 0xFFFFFFFF, ""), []string{tooLong(0xFFFFFFFF - 4), "EOF"}},
		"no length":                {message('Q', 0, ""), []string{"ErrorResponse FATAL 08P01 invalid message length", "EOF"}},
		"an unknown message":       {message('!', 4, ""), []string{"ErrorResponse FATAL 08P01 invalid frontend message type 33", "EOF"}},
		"64 KiB":                   {query(strings.Repeat("a", 64<<10)), []string{tooLong(64<<10 + 1), "EOF"}},
		"a million parentheses":    {query(strings.Repeat("(", 1e6)), []string{tooLong(1e6 + 1), "EOF"}},
		"16384 parentheses":        {query(strings.Repeat("(", 16<<10)), []string{"ErrorResponse ERROR 0A000 ", ready}},
		"parentheses in a command": {query("SEND_FILE " + strings.Repeat("(", 16000)), []string{"ErrorResponse ERROR 42601 ", ready}},
		"nested comments":          {query(strings.Repeat("/*", 8<<10)), []string{"ErrorResponse ERROR 0A000 ", ready}},
		"an open string":           {query("SEND_FILE ('" + strings.Repeat("'", 16001)), []string{"ErrorResponse ERROR 42601 ", ready}},
		"a path of 16 KiB":         {query("SEND_FILE ('" + strings.Repeat("a/", 8000) + "a')"), []string{"ErrorResponse ERROR ", ready}},
		"a query without its NUL":  {message('Q', 4+4, "SHOW"), []string{"ErrorResponse FATAL 08P01 invalid Query message", "EOF"}},
	} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
			c := connect(t, addr, "backup")
			before := allocated()
			_, _ = c.Conn.Write(test.sent) // the server may close before it has all
			got := c.answer()
			if len(got) != len(test.want) || !strings.HasPrefix(got[0], test.want[0]) || got[len(got)-1] != test.want[len(test.want)-1] {
				t.Errorf("answer %q, want %q", got, test.want)
			}
			wantAllocated(t, before, 1<<20)
		})
	}
}

// TestHostile_7_1_SlowStartup sends a byte of the startup packet every five seconds: the time
// until the session has begun is limited as a whole.
func TestHostile_7_1_SlowStartup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &walsender.Server{Cluster: newMemCluster()}
		conn, ended := piped(t.Context(), server)
		defer conn.Close()
		hello := wire.StartupMessage{Major: 3, Parameters: backupParameters}.Encode(nil)
		var sending sync.WaitGroup
		sending.Go(func() {
			for _, b := range hello {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(5 * time.Second)
			}
		})
		start := time.Now()
		<-ended
		if took := time.Since(start); took != time.Minute {
			t.Errorf("the connection was closed after %v, want 60 s", took)
		}
		server.Close()
		sending.Wait()
	})
}

// TestHostile_SlowQuery sends a byte of a command every hour. An idle session is legal, and
// so is this one: it holds nobody up, and in the end has its answer.
func TestHostile_SlowQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &walsender.Server{Cluster: newMemCluster()}
		conn, _ := piped(t.Context(), server)
		c := newRawClient(t, conn)
		conn.SetDeadline(time.Time{})
		c.startup(backupParameters)
		for _, b := range message('Q', 4+16, "IDENTIFY_SYSTEM\x00") {
			time.Sleep(time.Hour)
			c.Write([]byte{b})
		}
		if got := c.answer(); got[len(got)-1] != ready {
			t.Errorf("answer %q", got)
		}
		server.Close()
	})
}

// TestHostile_1_3_CancelFlood sends two thousand CancelRequests with wrong keys while a file
// is sent.
func TestHostile_1_3_CancelFlood(t *testing.T) {
	const flood = 2000
	addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
	leader, _, _ := backupWith(t, addr)
	leader.Send("SEND_FILE ('base/1/big')")
	goroutines := runtime.NumGoroutine()
	for i := range flood {
		wrong := binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(leader.Key.SecretKey)+1+uint32(i))
		conn, err := net.Dial(addr.Network(), addr.String())
		must(t, err)
		_, err = conn.Write(wire.CancelRequest{ProcessID: leader.Key.ProcessID, SecretKey: wrong}.Encode(nil))
		must(t, err)
		if said, _ := io.ReadAll(conn); len(said) > 0 {
			t.Fatalf("a wrong key is answered with %q", said)
		}
		conn.Close()
	}
	t.Logf("after %d wrong keys there are %d goroutines more", flood, runtime.NumGoroutine()-goroutines)
	if n, err := leader.receive(); n != 64<<20 || err != nil {
		t.Errorf("the file came to %d bytes, %v", n, err)
	}
}

// TestHostile_ReconnectStorm begins and drops a thousand sessions, some of them in the midst
// of what they do. In the end everything has been given back.
func TestHostile_ReconnectStorm(t *testing.T) {
	const storms, each = 8, 125
	backups := sharedstate.NewTable(0)
	cluster := newMemCluster()
	cluster.entered = make(chan string, storms*each)
	server := &walsender.Server{Cluster: cluster, Backups: backups}
	l := serveCounted(t, server)
	goroutines, before := runtime.NumGoroutine(), inUse()
	hello := wire.StartupMessage{Major: 3, Parameters: backupParameters}.Encode(nil)
	hello, _ = (&pgproto3.Query{String: "START_BACKUP"}).Encode(hello)
	hello, _ = (&pgproto3.Query{String: "SEND_FILE ('base/1/big')"}).Encode(hello)
	var storm sync.WaitGroup
	for range storms {
		storm.Go(func() {
			for i := range each {
				conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = conn.Write(hello[:len(hello)*i/each])
				if i%3 == 0 { // some see the beginning of an answer, if there is one
					_ = conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
					_, _ = conn.Read(make([]byte, 1000))
				}
				conn.Close()
			}
		})
	}
	storm.Wait()
	reconnect(t, l.Addr())
	for end := time.Now().Add(patience); l.open.Load() > 1 || len(backups.Backups()) > 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d connections and %d backups are left", l.open.Load(), len(backups.Backups()))
		}
	}
	grown := inUse() - before
	t.Logf("of %d connections at most %d were open; %d KiB and %d goroutines are left", l.all.Load(), l.most.Load(), grown>>10, runtime.NumGoroutine()-goroutines)
	if grown > activeLimit {
		t.Errorf("%d bytes are left", grown)
	}
}

// TestHostile_1_2_Renegotiation asks for new keys within TLS 1.2, which costs a server much
// and a client nothing.
func TestHostile_1_2_Renegotiation(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("needs openssl")
	}
	addr := serve(t, &walsender.Server{Cluster: newMemCluster(), TLSConfig: serverTLS(t)})
	cmd := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", addr.String(), "-starttls", "postgres", "-tls1_2")
	cmd.Stdin = strings.NewReader("R\n") // which is how s_client is told to
	said, _ := cmd.CombinedOutput()      // it ends with the connection
	text := string(said)
	if !strings.Contains(text, "RENEGOTIATING") || !slices.ContainsFunc([]string{"no renegotiation", "unexpected message", "unexpected_message"}, func(s string) bool { return strings.Contains(text, s) }) {
		t.Errorf("openssl says:\n%s", text)
	}
	connect(t, addr, "backup")
}
