package livecluster_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/auth"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
	"github.com/pgparallel/pgparallel/walsender/tlsfiles"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// verifiedRoles are the roles that PostgreSQL judges.
const verifiedRoles = `SET password_encryption = 'scram-sha-256'; CREATE ROLE good LOGIN REPLICATION PASSWORD 'secret' VALID UNTIL 'infinity';
	CREATE ROLE "größe 1" LOGIN REPLICATION PASSWORD 'secret';
	CREATE ROLE expired LOGIN REPLICATION PASSWORD 'secret' VALID UNTIL '2001-01-01';
	CREATE ROLE ordinary LOGIN PASSWORD 'secret';
	CREATE ROLE closed REPLICATION PASSWORD 'secret';
	CREATE ROLE empty LOGIN REPLICATION;
	CREATE ROLE own LOGIN REPLICATION PASSWORD 'secret';
	CREATE ROLE bound LOGIN REPLICATION PASSWORD 'secret';
	CREATE ROLE trusted LOGIN REPLICATION PASSWORD 'secret';
	CREATE ROLE clear LOGIN REPLICATION PASSWORD 'secret';
	CREATE ROLE peered LOGIN REPLICATION PASSWORD 'secret';
	CREATE ROLE banned LOGIN REPLICATION PASSWORD 'secret';
	SET password_encryption = md5; CREATE ROLE old LOGIN REPLICATION PASSWORD 'secret'`

const verifyingHBA = `local all postgres,backup trust
local replication passer,trusted trust
local replication old md5
local replication clear password
local replication banned reject
local replication peered peer
local replication all scram-sha-256
`

// longRole is a role with the longest name that PostgreSQL has.
var longRole = strings.Repeat("r", 63)

// newVerifier starts a cluster that judges peers.
func newVerifier(t testing.TB) *postgres.Cluster {
	t.Helper()
	c := newPrimary(t, nil)
	sql(t, c, verifiedRoles+"; SET password_encryption = 'scram-sha-256'; CREATE ROLE "+longRole+" LOGIN REPLICATION PASSWORD 'secret'")
	must(t, os.WriteFile(filepath.Join(c.Dir, "pg_hba.conf"), []byte(verifyingHBA), 0o600))
	sql(t, c, "SELECT pg_reload_conf()")
	return c
}

// passedDoors are connection strings of a server that hands exchanges through.
type passedDoors struct {
	plain, tls, socket string
	log                *keptLog
}

// serveVerified serves the cluster to peers whom PostgreSQL verifies, at the place that
// config names.
func serveVerified(t testing.TB, c *postgres.Cluster, config livecluster.Config, change func(*walsender.Server)) passedDoors {
	t.Helper()
	doors := passedDoors{log: &keptLog{}}
	config.Logger, config.AuthPassThrough = doors.log.logger(), true
	live, err := livecluster.Open(t.Context(), c.Dir, config)
	must(t, err)
	dir := t.TempDir()
	users, hba := filepath.Join(dir, "users"), filepath.Join(dir, "hba.conf")
	verifier, err := auth.NewVerifier("other", 0)
	must(t, err)
	must(t, os.WriteFile(users, []byte(auth.UserLine("own", verifier)+"\n"), 0o600))
	must(t, os.WriteFile(hba, []byte("hostssl replication bound all scram-sha-256-plus\n"+
		"host replication all 127.0.0.1/32 scram-sha-256\nlocal replication all scram-sha-256\n"), 0o600))
	judge, err := auth.Open(auth.Config{HBA: hba, Users: users, PassThrough: live.AuthenticatePeer, TLS: true})
	must(t, err)
	files, _, err := tlsfiles.SelfSigned(filepath.Join(dir, "tls"))
	must(t, err)
	secured, err := tlsfiles.Open(files)
	must(t, err)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := serveCluster(t, c, live, func(s *walsender.Server) {
		s.Authenticator, s.TLSConfig, s.AuthFailureDelay, s.Logger = judge, secured.Config(), -1, config.Logger
		if change != nil {
			change(s)
		}
	})
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(tcp) }() // ends with Close
	t.Cleanup(func() {
		s.server.Close()
		<-done
	})
	port := tcp.Addr().(*net.TCPAddr).Port
	doors.plain = fmt.Sprintf("host=127.0.0.1 port=%d sslmode=disable", port)
	doors.tls = fmt.Sprintf("host=127.0.0.1 port=%d sslmode=require", port)
	doors.socket = fmt.Sprintf("host=%s port=%d", s.dir, servedPort)
	return doors
}

// login connects, runs IDENTIFY_SYSTEM, and disconnects.
type login func(t *testing.T, conninfo string) error

// logins are the clients.
func logins(c *postgres.Cluster) map[string]login {
	return map[string]login{
		"pgconn": func(t *testing.T, conninfo string) error {
			conn, err := pgconn.Connect(t.Context(), conninfo)
			if err != nil {
				return err
			}
			_, err = conn.Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll()
			return errors.Join(err, conn.Close(t.Context()))
		},
		"psql": func(t *testing.T, conninfo string) error {
			cmd := exec.CommandContext(t.Context(), filepath.Join(c.Programs.BinDir, "psql"), "-X", "-w", "-Atc", "IDENTIFY_SYSTEM", conninfo)
			cmd.Env = append(os.Environ(), "HOME=/nonexistent", "PGPASSFILE=/nonexistent")
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		},
	}
}

// as adds the role and its password.
func (passedDoors) as(door, role, password string) string {
	return fmt.Sprintf("%s user='%s' password=%s replication=true", door, role, password)
}

// TestAuthPassThrough_1_10 has PostgreSQL judge roles: each gets in, or is refused in
// PostgreSQL's words.
func TestAuthPassThrough_1_10(t *testing.T) {
	t.Parallel()
	c := newVerifier(t)
	doors := serveVerified(t, c, configFor(t, c), nil)
	failed := func(role string) string { return fmt.Sprintf("password authentication failed for user %q", role) }
	const unable = "cannot be verified"
	for _, test := range []struct {
		name, conninfo string
		want           string // a part of the error; empty: the peer gets in
		logged         string // a part of the log
	}{
		{"right", doors.as(doors.plain, "good", "secret"), "", ""},
		{"right, socket", doors.as(doors.socket, "good", "secret"), "", ""},
		{"right, TLS", doors.as(doors.tls, "good", "secret"), "", ""},
		{"right, TLS, no binding", doors.as(doors.tls, "good", "secret channel_binding=disable"), "", ""},
		{"binding required", doors.as(doors.tls, "good", "secret channel_binding=require"), "channel binding", ""},
		{"not ASCII", doors.as(doors.plain, "größe 1", "secret"), "", ""},
		{"the longest name", doors.as(doors.plain, longRole, "secret"), "", ""},
		{"a name that PostgreSQL cuts", doors.as(doors.plain, longRole+"x", "secret"), longRole + `x"`, ""},
		{"wrong", doors.as(doors.plain, "good", "wrong"), failed("good"), "PostgreSQL's answer"},
		{"wrong, socket", doors.as(doors.socket, "good", "wrong"), failed("good"), ""},
		{"wrong, TLS", doors.as(doors.tls, "good", "wrong"), failed("good"), ""},
		{"unknown", doors.as(doors.plain, "nobody", "secret"), failed("nobody"), ""},
		{"expired", doors.as(doors.plain, "expired", "secret"), failed("expired"), ""},
		{"no password", doors.as(doors.plain, "empty", "secret"), failed("empty"), ""},
		{"no LOGIN", doors.as(doors.plain, "closed", "secret"), `role "closed" is not permitted to log in`, ""},
		{"no REPLICATION", doors.as(doors.plain, "ordinary", "secret"), "to start ", `ALTER ROLE \"ordinary\" REPLICATION;`},
		{"no REPLICATION, wrong", doors.as(doors.plain, "ordinary", "wrong"), failed("ordinary"), ""},
		{"rejected", doors.as(doors.plain, "banned", "secret"), "pg_hba.conf rejects replication connection", `has to ask this server for the password: local replication \"banned\" scram-sha-256`},
		{"peer", doors.as(doors.plain, "peered", "secret"), `Peer authentication failed for user "peered"`, `has to ask this server for the password: local replication \"peered\" scram-sha-256`},
		{"trust", doors.as(doors.plain, "trusted", "secret"), unable, `lets this server in as the role without a password`},
		{"trust, wrong", doors.as(doors.socket, "trusted", "wrong"), unable, `local replication \"trusted\" scram-sha-256`},
		{"MD5", doors.as(doors.plain, "old", "secret"), unable, "password_encryption = 'scram-sha-256'"},
		{"in clear", doors.as(doors.plain, "clear", "secret"), unable, `local replication \"clear\" scram-sha-256`},
		{"of the users file", doors.as(doors.tls, "own", "other channel_binding=require"), "", ""},
		{"of the users file, as in PostgreSQL", doors.as(doors.plain, "own", "secret"), failed("own"), ""},
		{"bound only", doors.as(doors.tls, "bound", "secret"), failed("bound"), "cannot be handed through to PostgreSQL with channel binding"},
	} {
		for client, login := range logins(c) {
			t.Run(test.name+"/"+client, func(t *testing.T) {
				err := login(t, test.conninfo)
				if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %q", err, test.want)
				}
				if !strings.Contains(doors.log.String(), test.logged) {
					t.Errorf("not in the log: %s\n%s", test.logged, doors.log)
				}
			})
		}
	}
	if text := doors.log.String(); strings.Contains(text, "secret") || strings.Contains(text, "p=") {
		t.Errorf("the log has a secret:\n%s", text)
	}
	sql(t, c, "SET password_encryption = 'scram-sha-256'; ALTER ROLE good PASSWORD 'changed'")
	must(t, logins(c)["pgconn"](t, doors.as(doors.plain, "good", "changed")))
	wait(t, "PostgreSQL's sessions end", func() bool {
		return sql(t, c, "SELECT count(*) FROM pg_stat_activity WHERE usename IN ('good', 'own')") == "0"
	})
}

// TestAuthPassThrough_Clone leads to a copy of the cluster where the role has another
// password: who knows that one is nobody here.
func TestAuthPassThrough_Clone(t *testing.T) {
	t.Parallel()
	c := newVerifier(t)
	clone := newClone(t, c)
	sql(t, clone, "SET password_encryption = 'scram-sha-256'; ALTER ROLE good PASSWORD 'cloned'")
	proxy := newSwitchedProxy(t, c)
	config := configFor(t, c)
	config.PassThrough = fmt.Sprintf("host=%s port=5432 user=passer", proxy.dir)
	doors := serveVerified(t, c, config, nil)
	connect := logins(c)["pgconn"]
	must(t, connect(t, doors.as(doors.plain, "good", "secret")))
	proxy.target.Store(clone)
	if err := connect(t, doors.as(doors.plain, "good", "cloned")); err == nil || !strings.Contains(err.Error(), "cannot verify") {
		t.Errorf("error %v", err)
	}
	if text := doors.log.String(); !strings.Contains(text, "leads to another cluster, or to a copy") {
		t.Errorf("the log does not say why:\n%s", text)
	}
}

// TestAuthPassThrough_Silent has more peers than there are places fall silent in the
// middle of the exchange: when their time is over, others get in.
func TestAuthPassThrough_Silent(t *testing.T) {
	t.Parallel()
	c := newVerifier(t)
	doors := serveVerified(t, c, configFor(t, c), func(s *walsender.Server) { s.AuthTimeout = 3 * time.Second })
	config, err := pgconn.ParseConfig(doors.plain)
	must(t, err)
	ended := make(chan error)
	const peers = 12
	for range peers {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", config.Port))
		must(t, err)
		defer conn.Close()
		frontend := pgproto3.NewFrontend(conn, conn)
		frontend.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "good", "replication": "true"}})
		frontend.Send(&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte("n,,n=,r=abcdefghijklmnopqrstuvwx")})
		must(t, frontend.Flush())
		go func() { // ends when the server closes the connection
			_, err := io.Copy(io.Discard, conn)
			ended <- err
		}()
	}
	for range peers {
		<-ended
	}
	must(t, logins(c)["pgconn"](t, doors.as(doors.plain, "good", "secret")))
}

// TestAuthPassThrough_Binding refuses a connection string that insists on what cannot be
// kept.
func TestAuthPassThrough_Binding(t *testing.T) {
	t.Parallel()
	c := newPrimary(t, nil)
	config := configFor(t, c)
	config.AuthPassThrough = true
	config.PassThrough += " channel_binding=require"
	live, err := livecluster.Open(t.Context(), c.Dir, config)
	if err == nil {
		must(t, live.Close())
	}
	if err == nil || !strings.Contains(err.Error(), "does not go with --auth-passthrough") {
		t.Errorf("error %v", err)
	}
}

// newTLSProxy passes connections on to the cluster's Unix socket, and speaks TLS itself, as
// PostgreSQL does over TCP. It returns its port.
func newTLSProxy(t testing.TB, c *postgres.Cluster) int {
	t.Helper()
	files, _, err := tlsfiles.SelfSigned(t.TempDir())
	must(t, err)
	secured, err := tlsfiles.Open(files)
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var serving sync.WaitGroup
	t.Cleanup(func() { listener.Close(); serving.Wait() })
	serving.Go(func() { // ends with the listener
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { // ends with the connection
				defer client.Close()
				var request [8]byte
				if _, err := io.ReadFull(client, request[:]); err != nil {
					return
				}
				if _, err := client.Write([]byte("S")); err != nil {
					return
				}
				passOn(tls.Server(client, secured.Config()), c)
			})
		}
	})
	return listener.Addr().(*net.TCPAddr).Port
}

// TestAuthPassThrough_TLS reaches PostgreSQL under TLS: peers without TLS get in, and so do
// those who do not bind; where a peer could bind, the exchange would fail, and the log says
// what to do.
func TestAuthPassThrough_TLS(t *testing.T) {
	t.Parallel()
	c := newVerifier(t)
	config := configFor(t, c)
	config.PassThrough = fmt.Sprintf("host=127.0.0.1 port=%d user=passer sslmode=require", newTLSProxy(t, c))
	doors := serveVerified(t, c, config, nil)
	for client, login := range logins(c) {
		must(t, login(t, doors.as(doors.plain, "good", "secret")))
		must(t, login(t, doors.as(doors.tls, "good", "secret channel_binding=disable")))
		if err := login(t, doors.as(doors.plain, "good", "wrong")); err == nil || !strings.Contains(err.Error(), "password authentication failed") {
			t.Errorf("%s: wrong password: %v", client, err)
		}
	}
	if err := logins(c)["psql"](t, doors.as(doors.tls, "good", "secret")); err == nil || !strings.Contains(err.Error(), "channel binding negotiation error") {
		t.Errorf("a client that could bind: %v", err)
	}
	if text := doors.log.String(); !strings.Contains(text, "lead to its Unix socket") {
		t.Errorf("the log does not say what to do:\n%s", text)
	}
}
