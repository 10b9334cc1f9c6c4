package walsender_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender"
)

func wantAnswer(t testing.TB, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestConnection_1_1_NegotiatesVersion(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
	c := rawDial(t, addr)
	c.Write(wire.StartupMessage{Major: 3, Minor: 9999, Parameters: map[string]string{
		"user": "backup", "replication": "true", "_pq_.test_protocol_negotiation": "",
	}}.Encode(nil))
	got := c.answer()
	wantAnswer(t, got[:2], `NegotiateProtocolVersion 196608 ["_pq_.test_protocol_negotiation"]`, "AuthenticationOk")
	wantAnswer(t, got[len(got)-1:], "ReadyForQuery I")
}

func TestConnection_1_2_EncryptionRefused(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
	c := rawDial(t, addr)
	for _, packet := range [][]byte{wire.GSSENCRequest{}.Encode(nil), wire.SSLRequest{}.Encode(nil)} {
		c.Write(packet)
		answer := make([]byte, 1)
		if _, err := io.ReadFull(c.Conn, answer); err != nil || answer[0] != 'N' {
			t.Fatalf("answer %q, %v; want N", answer, err)
		}
	}
	got := c.startup(map[string]string{"user": "backup", "replication": "database"})
	wantAnswer(t, got[len(got)-1:], "ReadyForQuery I")
}

func TestConnection_1_2_BytesBehindSSLRequest(t *testing.T) {
	for name, config := range map[string]*tls.Config{"with TLS": serverTLS(t), "without": nil} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, &walsender.Server{Cluster: newMemCluster(), TLSConfig: config})
			c := rawDial(t, addr)
			stuffed := wire.StartupMessage{Major: 3, Parameters: map[string]string{"user": "x", "replication": "1"}}
			c.Write(stuffed.Encode(wire.SSLRequest{}.Encode(nil)))
			if rest, err := io.ReadAll(c.Conn); len(rest) > 0 {
				t.Errorf("answer %q, %v; want a plain close", rest, err)
			}
		})
	}
}

func TestConnection_1_2_TLS(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster(), TLSConfig: serverTLS(t)})
	for name, protocols := range map[string][]string{"asked": nil, "asked with ALPN": {"postgresql"}, "direct": {"postgresql"}} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial(addr.Network(), addr.String())
			if err != nil {
				t.Fatal(err)
			}
			if name != "direct" {
				conn.Write(wire.SSLRequest{}.Encode(nil))
				answer := make([]byte, 1)
				if _, err := io.ReadFull(conn, answer); err != nil || answer[0] != 'S' {
					t.Fatalf("answer %q, %v; want S", answer, err)
				}
			}
			secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
			c := newRawClient(t, secured)
			c.startup(map[string]string{"user": "backup", "replication": "true"})
			got := c.query("START_BACKUP")
			wantAnswer(t, got[len(got)-2:], "CommandComplete START_BACKUP", "ReadyForQuery I")
			got = c.query("SEND_FILE ('base/1/100')")
			wantAnswer(t, got[len(got)-3:], "CopyDone", "CommandComplete SEND_FILE", "ReadyForQuery I")
		})
	}
}

func TestConnection_1_2_DirectTLSNeedsALPN(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster(), TLSConfig: serverTLS(t)})
	conn, err := tls.Dial(addr.Network(), addr.String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write(wire.StartupMessage{Major: 3, Parameters: map[string]string{"user": "x", "replication": "1"}}.Encode(nil))
	if rest, _ := io.ReadAll(conn); len(rest) > 0 {
		t.Errorf("answer %q, want a plain close", rest)
	}
}

// serverTLS makes a certificate for the loopback interface.
func serverTLS(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func TestConnection_1_3_Cancel(t *testing.T) {
	cluster := newMemCluster()
	cluster.startGate = make(chan struct{})
	addr := serve(t, &walsender.Server{Cluster: cluster})
	c := connect(t, addr, "backup")
	if c.Key.ProcessID <= 1<<22 || c.Key.ProcessID >= 1<<31 {
		t.Errorf("process id %d is not random above 2^22", c.Key.ProcessID)
	}
	c.Send("START_BACKUP")
	cluster.expect(t, "start")
	wrong := bytes.Clone(c.Key.SecretKey)
	wrong[0]++
	for _, secret := range [][]byte{wrong, c.Key.SecretKey} {
		asker := rawDial(t, addr)
		asker.Write(wire.CancelRequest{ProcessID: c.Key.ProcessID, SecretKey: secret}.Encode(nil))
		if rest, _ := io.ReadAll(asker.Conn); len(rest) > 0 {
			t.Errorf("the asker got %q, want a plain close", rest)
		}
	}
	cluster.expect(t, "start given up")
	wantAnswer(t, c.answer(), "ErrorResponse ERROR 57014 canceling statement due to user request", "ReadyForQuery I")
	close(cluster.startGate)
	got := c.query("START_BACKUP")
	wantAnswer(t, got[len(got)-1:], "ReadyForQuery I")
}

func TestConnection_1_4_Replication(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
	for value, want := range map[string]string{
		"":         "ErrorResponse FATAL 0A000",
		"off":      "ErrorResponse FATAL 0A000",
		"maybe":    "ErrorResponse FATAL 22023",
		"on":       "AuthenticationOk",
		"database": "AuthenticationOk",
	} {
		parameters := map[string]string{"user": "backup", "options": "-c x=y", "client_encoding": "LATIN1"}
		if value != "" {
			parameters["replication"] = value
		}
		c := rawDial(t, addr)
		got := c.startup(parameters)
		if !strings.HasPrefix(got[0], want) {
			t.Errorf("replication=%q: %q, want %s", value, got, want)
		}
		if want == "AuthenticationOk" && c.Parameters["client_encoding"] != "UTF8" {
			t.Errorf("client_encoding is %q", c.Parameters["client_encoding"])
		}
	}
}

func TestConnection_1_5_Greeting(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
	c := connect(t, addr, "backup")
	want := map[string]string{
		"server_version": "15", "server_encoding": "UTF8", "client_encoding": "UTF8", "integer_datetimes": "on",
		"standard_conforming_strings": "on", "DateStyle": "ISO, MDY", "TimeZone": "UTC", "in_hot_standby": "off",
		"is_superuser": "off", "session_authorization": "backup", "application_name": "",
		"parallel_backup_protocol": "1", "parallel_backup_wal": "kept", "parallel_backup_extensions": "digests,progress", "IntervalStyle": "postgres", "default_transaction_read_only": "off",
	}
	if diff := cmp.Diff(want, c.Parameters); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
}

func TestConnection_1_6_ExtendedQuery(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
	c := connect(t, addr, "backup")
	var p []byte
	p, _ = (&pgproto3.Parse{Query: "SELECT 1"}).Encode(p)
	p, _ = (&pgproto3.Bind{}).Encode(p)
	p, _ = (&pgproto3.Execute{}).Encode(p)
	p, _ = (&pgproto3.Query{String: "IDENTIFY_SYSTEM"}).Encode(p) // skipped as well
	p, _ = (&pgproto3.Sync{}).Encode(p)
	c.Write(p)
	wantAnswer(t, c.answer(),
		"ErrorResponse ERROR 08P01 extended query protocol not supported in a replication connection", "ReadyForQuery I")
	got := c.query("IDENTIFY_SYSTEM")
	wantAnswer(t, got[len(got)-2:], "CommandComplete IDENTIFY_SYSTEM", "ReadyForQuery I")
}

func TestConnection_1_7_Pipelining(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
	c := connect(t, addr, "backup")
	c.Send("SHOW server_version", "SHOW nosuch", "", "SHOW block_size")
	wantAnswer(t, c.answer(), "RowDescription (server_version text)", `DataRow ("15")`, "CommandComplete SHOW", "ReadyForQuery I")
	wantAnswer(t, c.answer(), `ErrorResponse ERROR 42704 unrecognized configuration parameter "nosuch"`, "ReadyForQuery I")
	wantAnswer(t, c.answer(), "EmptyQueryResponse", "ReadyForQuery I")
	wantAnswer(t, c.answer(), "RowDescription (block_size text)", `DataRow ("8192")`, "CommandComplete SHOW", "ReadyForQuery I")
}

func TestConnection_1_8_MaxWALSenders(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster(), MaxWALSenders: 2})
	first := connect(t, addr, "backup")
	connect(t, addr, "backup")
	refused := rawDial(t, addr)
	wantAnswer(t, refused.startup(map[string]string{"user": "backup", "replication": "true"}),
		"ErrorResponse FATAL 53300 number of requested standby connections exceeds max_wal_senders (currently 2)", "EOF")
	first.Write([]byte{'X', 0, 0, 0, 4})
	io.Copy(io.Discard, first.Conn)
	connect(t, addr, "backup")
}

func TestConnection_1_9_Shutdown(t *testing.T) {
	cluster := newMemCluster()
	server := &walsender.Server{Cluster: cluster}
	addr := serve(t, server)
	idle, leader := connect(t, addr, "backup"), connect(t, addr, "backup")
	deaf := connect(t, addr, "backup")
	id := value(t, leader.query("START_BACKUP"), 3)
	deaf.query("JOIN_BACKUP '" + id + "'")
	deaf.Send("SEND_FILE ('base/1/big')")
	if got := deaf.message(); got != "CopyOutResponse" {
		t.Fatal(got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	fatal := "ErrorResponse FATAL 57P01 terminating connection due to administrator command"
	wantAnswer(t, idle.answer(), fatal, "EOF")
	wantAnswer(t, leader.answer(), fatal, "EOF")
	cluster.expect(t, "aborted")
	// An ErrorResponse never comes within a frame: here there is none at all.
	if _, err := io.Copy(io.Discard, deaf.Conn); err != nil && !isReset(err) {
		t.Error(err)
	}
	if _, err := net.Dial(addr.Network(), addr.String()); err == nil {
		t.Error("the server still listens")
	}
}

func TestGrammar_2_4_TooLong(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
	for name, text := range map[string]string{
		"command": "JOIN_BACKUP '" + strings.Repeat("x", 16<<10) + "'",
		"message": "JOIN_BACKUP '" + strings.Repeat("x", 1<<20) + "'",
	} {
		c := connect(t, addr, "backup")
		go c.Send(text) // the server does not read all of it
		got := c.answer()
		if !strings.HasPrefix(got[0], "ErrorResponse FATAL 08P01") || got[len(got)-1] != "EOF" {
			t.Errorf("%s: %q, want FATAL 08P01", name, got)
		}
	}
}
