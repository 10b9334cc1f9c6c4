package walsender_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender"
)

// authFunc is an Authenticator of a function.
type authFunc func(h *walsender.Handshake) (walsender.Grant, error)

func (f authFunc) Authenticate(_ context.Context, h *walsender.Handshake) (walsender.Grant, error) {
	return f(h)
}

// grants lets everybody in, to what the grant says.
func grants(g walsender.Grant) walsender.Authenticator {
	return authFunc(func(*walsender.Handshake) (walsender.Grant, error) { return g, nil })
}

var backupParameters = map[string]string{"user": "backup", "replication": "true", "database": "replication", "application_name": "kit"}

func TestAuthenticate_1_10_Refused(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster(), AuthFailureDelay: -1, Authenticator: authFunc(func(h *walsender.Handshake) (walsender.Grant, error) {
		err := protocol.Fatalf(protocol.CodeInvalidPassword, "password authentication failed for user %q", h.User)
		return walsender.Everything(), fmt.Errorf("%w (a reason for the log)", err)
	})})
	wantAnswer(t, rawDial(t, addr).startup(backupParameters),
		`ErrorResponse FATAL 28P01 password authentication failed for user "backup"`, "EOF")
}

// A time-out of what an Authenticator asks is none of the server's: the peer learns that
// something is wrong, the log what it is.
func TestAuthenticate_1_10_ForeignContext(t *testing.T) {
	for _, ended := range []error{context.DeadlineExceeded, context.Canceled} {
		core, logs := observer.New(zap.WarnLevel)
		addr := serve(t, &walsender.Server{Cluster: newMemCluster(), Logger: zap.New(core), Authenticator: authFunc(func(*walsender.Handshake) (walsender.Grant, error) {
			return walsender.Grant{}, fmt.Errorf("ldap directory.example: %w", ended)
		})})
		wantAnswer(t, rawDial(t, addr).startup(backupParameters), "ErrorResponse FATAL XX000 internal error of the server, see its log", "EOF")
		if lines := logs.FilterMessage("authentication failed").All(); len(lines) != 1 || lines[0].ContextMap()["error"] != "ldap directory.example: "+ended.Error() {
			t.Errorf("the log has %v", logs.All())
		}
	}
}

// slowAuthenticator waits until its time is over.
type slowAuthenticator struct{ asked chan struct{} }

func (a slowAuthenticator) Authenticate(ctx context.Context, _ *walsender.Handshake) (walsender.Grant, error) {
	close(a.asked)
	<-ctx.Done()
	return walsender.Grant{}, fmt.Errorf("ldap directory.example: %w", ctx.Err())
}

// The context that an Authenticator is given ends with AuthTimeout and with the server:
// the peer is told which.
func TestAuthenticate_1_10_OwnContext(t *testing.T) {
	a := slowAuthenticator{make(chan struct{})}
	addr := serve(t, &walsender.Server{Cluster: newMemCluster(), Authenticator: a, AuthTimeout: time.Millisecond * 200})
	wantAnswer(t, rawDial(t, addr).startup(backupParameters), "ErrorResponse FATAL 57014 canceling authentication due to timeout", "EOF")

	a = slowAuthenticator{make(chan struct{})}
	server := &walsender.Server{Cluster: newMemCluster(), Authenticator: a}
	addr = serve(t, server)
	go func() { // ends with Shutdown
		<-a.asked
		_ = server.Shutdown(context.Background())
	}()
	wantAnswer(t, rawDial(t, addr).startup(backupParameters), "ErrorResponse FATAL 57P01 terminating connection due to administrator command", "EOF")
}

// TestAuthenticate_1_10_Handshake shows what an Authenticator sees of a connection.
func TestAuthenticate_1_10_Handshake(t *testing.T) {
	seen := make(chan walsender.Handshake, 1)
	config := serverTLS(t)
	addr := serve(t, &walsender.Server{Cluster: newMemCluster(), TLSConfig: config, Authenticator: authFunc(func(h *walsender.Handshake) (walsender.Grant, error) {
		seen <- *h
		return walsender.Everything(), nil
	})})
	conn, err := tls.Dial("tcp", addr.String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}})
	must(t, err)
	newRawClient(t, conn).startup(backupParameters)
	h := <-seen
	if h.User != "backup" || h.Database != "replication" || h.ApplicationName != "kit" {
		t.Errorf("startup packet seen as %q, %q, %q", h.User, h.Database, h.ApplicationName)
	}
	if h.Remote.String() != conn.LocalAddr().String() || h.Local.String() != addr.String() {
		t.Errorf("connection seen as from %s to %s", h.Remote, h.Local)
	}
	if h.TLS == nil || h.ServerCertificate == nil || string(h.ServerCertificate.Raw) != string(config.Certificates[0].Certificate[0]) {
		t.Errorf("TLS seen as %v with certificate %v", h.TLS, h.ServerCertificate)
	}
	if _, err := h.PeerUID(); err == nil {
		t.Error("a TCP connection has a user of the system")
	}
}

// TestAuthenticate_1_10_CertificateOfName has a configuration of its own for each name,
// from which the certificate is taken.
func TestAuthenticate_1_10_CertificateOfName(t *testing.T) {
	first, second := serverTLS(t), serverTLS(t)
	seen := make(chan []byte, 1)
	addr := serve(t, &walsender.Server{
		Cluster: newMemCluster(),
		TLSConfig: &tls.Config{
			Certificates: first.Certificates,
			GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				if hello.ServerName == "second.example" {
					return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
						return &second.Certificates[0], nil
					}}, nil
				}
				return nil, nil
			},
		},
		Authenticator: authFunc(func(h *walsender.Handshake) (walsender.Grant, error) {
			seen <- h.ServerCertificate.Raw
			return walsender.Everything(), nil
		}),
	})
	for name, want := range map[string]*tls.Config{"first.example": first, "second.example": second} {
		conn, err := tls.Dial("tcp", addr.String(), &tls.Config{InsecureSkipVerify: true, ServerName: name, NextProtos: []string{"postgresql"}})
		must(t, err)
		newRawClient(t, conn).startup(backupParameters)
		if string(<-seen) != string(want.Certificates[0].Certificate[0]) {
			t.Errorf("%s: another certificate is told than was shown", name)
		}
	}
}

func TestAuthenticate_1_10_PeerUID(t *testing.T) {
	seen := make(chan uint32, 1)
	server := &walsender.Server{Cluster: newMemCluster(), Authenticator: authFunc(func(h *walsender.Handshake) (walsender.Grant, error) {
		uid, err := h.PeerUID()
		seen <- uid
		return walsender.Everything(), err
	})}
	dir, err := os.MkdirTemp("/tmp", "pgp")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := walsender.ListenUnix(dir, 5433)
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }() // ends with Close
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	connect(t, l.Addr(), "backup")
	if uid := <-seen; int(uid) != os.Getuid() {
		t.Errorf("the peer is user %d, want %d", uid, os.Getuid())
	}
}

// saslServer is an exchange of two rounds.
func saslServer(h *walsender.Handshake) (walsender.Grant, error) {
	mechanism, first, err := h.StartSASL("ONE", "TWO")
	if err != nil {
		return walsender.Grant{}, err
	}
	answer, err := h.ContinueSASL([]byte("challenge"))
	if err != nil {
		return walsender.Grant{}, err
	}
	return walsender.Everything(), h.FinishSASL([]byte(mechanism + "," + string(first) + "," + string(answer)))
}

func TestAuthenticate_1_10_SASL(t *testing.T) {
	initial, _ := (&pgproto3.SASLInitialResponse{AuthMechanism: "TWO", Data: []byte("hello")}).Encode(nil)
	other, _ := (&pgproto3.SASLInitialResponse{AuthMechanism: "THREE"}).Encode(nil)
	answer, _ := (&pgproto3.SASLResponse{Data: []byte("answer")}).Encode(nil)
	long, _ := (&pgproto3.SASLResponse{Data: make([]byte, 1025)}).Encode(nil)
	query, _ := (&pgproto3.Query{String: "LIST_FILES"}).Encode(nil)
	for _, test := range []struct {
		name string
		sent [][]byte
		want string // the last message
	}{
		{"done", [][]byte{initial, answer}, "ReadyForQuery I"},
		{"another mechanism", [][]byte{other}, "FATAL 08P01 client selected an invalid SASL authentication mechanism"},
		{"a query instead", [][]byte{query}, "FATAL 08P01 expected SASL response, got message type 81"},
		{"a query in between", [][]byte{initial, query}, "FATAL 08P01 expected SASL response, got message type 81"},
		{"a long answer", [][]byte{initial, long}, "FATAL 08P01 invalid message length"},
		{"an announced gigabyte", [][]byte{{'p', 0x40, 0, 0, 0}}, "FATAL 08P01 invalid message length"},
		{"no length", [][]byte{{'p', 0, 0, 0, 3}}, "FATAL 08P01 invalid message length"},
		{"no mechanism", [][]byte{{'p', 0, 0, 0, 4}}, "FATAL 08P01 invalid SASL response"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := serve(t, &walsender.Server{Cluster: newMemCluster(), Authenticator: authFunc(saslServer)})
			c := rawDial(t, addr)
			c.Write(wire.StartupMessage{Major: 3, Parameters: backupParameters}.Encode(nil))
			for _, message := range test.sent {
				c.Write(message)
			}
			got := c.answer()
			if got[len(got)-1] == "EOF" {
				got = got[:len(got)-1]
			}
			if last := got[len(got)-1]; strings.TrimPrefix(last, "ErrorResponse ") != test.want {
				t.Errorf("answer ends with %s, want %s", last, test.want)
			}
		})
	}
}

// TestAuthenticate_1_10_AskingForPassword has a client that goes away when it is asked for
// a password, as psql does to ask its user.
func TestAuthenticate_1_10_AskingForPassword(t *testing.T) {
	ended := make(chan error, 1)
	server := &walsender.Server{Cluster: newMemCluster(), Authenticator: authFunc(saslServer)}
	here, there := net.Pipe()
	go func() { ended <- server.ServeConn(context.Background(), there) }() // ends with the connection
	c := newRawClient(t, here)
	c.Write(wire.StartupMessage{Major: 3, Parameters: backupParameters}.Encode(nil))
	c.message() // AuthenticationSASL
	c.Conn.Close()
	if err := <-ended; err != nil {
		t.Errorf("the session ended with %v", err)
	}
}

// TestAuthenticate_1_10_Pipelined sends a command together with the last message of the
// exchange.
func TestAuthenticate_1_10_Pipelined(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster(), Authenticator: authFunc(saslServer)})
	c := rawDial(t, addr)
	c.Write(wire.StartupMessage{Major: 3, Parameters: backupParameters}.Encode(nil))
	initial, _ := (&pgproto3.SASLInitialResponse{AuthMechanism: "ONE"}).Encode(nil)
	rest, _ := (&pgproto3.SASLResponse{Data: []byte("answer")}).Encode(initial)
	rest, _ = (&pgproto3.Query{String: "IDENTIFY_SYSTEM"}).Encode(rest)
	c.Write(rest)
	c.answer()
	if got := c.answer(); got[len(got)-2] != "CommandComplete IDENTIFY_SYSTEM" {
		t.Errorf("answer %q", got)
	}
}

func TestAuthenticate_1_10_WithoutAuthenticator(t *testing.T) {
	server := &walsender.Server{Cluster: newMemCluster()}
	l, err := net.Listen("tcp", "0.0.0.0:0")
	must(t, err)
	if err := server.Serve(l); err == nil || !strings.Contains(err.Error(), "not a loopback address") {
		t.Errorf("listening to the world ends with %v", err)
	}
	here, there := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- server.ServeConn(context.Background(), fromAfar{there}) }() // ends with the FATAL
	wantAnswer(t, newRawClient(t, here).startup(backupParameters),
		"ErrorResponse FATAL 28000 no authentication is configured: connections are taken from the server's own machine only", "EOF")
	if err := <-ended; err == nil {
		t.Error("the session ended well")
	}
}

// fromAfar is a connection from another machine.
type fromAfar struct{ net.Conn }

func (fromAfar) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 999} }

func TestGrant_1_11(t *testing.T) {
	const (
		noBackup = "ErrorResponse ERROR 42501 permission denied to take a backup"
		noPass   = "ErrorResponse ERROR 42501 permission denied to use PostgreSQL's replication commands"
	)
	t.Run("pass-through only", func(t *testing.T) {
		cluster := newPassCluster()
		addr := serve(t, &walsender.Server{Cluster: cluster, Authenticator: grants(walsender.Grant{PassThrough: true})})
		c := connect(t, addr, "backup")
		for _, text := range []string{
			"START_BACKUP", "start_backup", "\f\n START_BACKUP FAST", "JOIN_BACKUP 'x'", "STOP_BACKUP", "LIST_TABLESPACES",
			"LIST_FILES", "LIST_WAL_FILES", "SEND_FILE ('PG_VERSION')", "SEND_FILE('PG_VERSION');",
		} {
			wantAnswer(t, c.query(text), noBackup, "ReadyForQuery I")
		}
		if got := c.Parameters[protocol.ParameterWAL]; got != "stream" {
			t.Errorf("WAL can be had as %q", got)
		}
	})
	t.Run("backup only", func(t *testing.T) {
		cluster := newPassCluster()
		addr := serve(t, &walsender.Server{Cluster: cluster, Authenticator: grants(walsender.Grant{Backup: true})})
		c := connect(t, addr, "backup")
		for _, text := range []string{"BASE_BACKUP", "START_REPLICATION 0/0", "SELECT 1", "CREATE_REPLICATION_SLOT s PHYSICAL"} {
			wantAnswer(t, c.query(text), noPass, "ReadyForQuery I")
		}
		for _, text := range []string{"IDENTIFY_SYSTEM", "SHOW wal_segment_size", "START_BACKUP"} {
			if got := c.query(text); strings.HasPrefix(got[0], "ErrorResponse") {
				t.Errorf("%s: %s", text, got)
			}
		}
		if len(cluster.dialed) > 0 {
			t.Error("a command was passed on")
		}
		if got := c.Parameters[protocol.ParameterWAL]; got != "transient" {
			t.Errorf("WAL can be had as %q", got)
		}
	})
}

// TestAuthenticate_1_10_Delay holds a refusal back by the configured time and no longer
// than the server lives.
func TestAuthenticate_1_10_Delay(t *testing.T) {
	refused := make(chan struct{}, 1)
	server := &walsender.Server{Cluster: newMemCluster(), AuthFailureDelay: 24 * 60 * 60 * 1e9, Authenticator: authFunc(func(*walsender.Handshake) (walsender.Grant, error) {
		refused <- struct{}{}
		return walsender.Grant{}, protocol.Fatalf(protocol.CodeInvalidAuthorization, "no")
	})}
	addr := serve(t, server)
	c := rawDial(t, addr)
	c.Write(wire.StartupMessage{Major: 3, Parameters: backupParameters}.Encode(nil))
	<-refused
	must(t, server.Close())
	if rest, _ := io.ReadAll(c.Conn); len(rest) > 0 && rest[0] != 'E' {
		t.Errorf("answer %q", rest)
	}
}
