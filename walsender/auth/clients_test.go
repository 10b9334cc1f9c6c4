package auth_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// peerClient is a program that connects by a connection string of libpq's, and runs
// IDENTIFY_SYSTEM.
type peerClient struct {
	name  string
	major int // of libpq; 0: unknown
	run   func(t *testing.T, conninfo string) error
}

// peerClients are those that the machine has.
func peerClients(t *testing.T) []peerClient {
	clients := []peerClient{{name: "pgconn", major: 18, run: func(t *testing.T, conninfo string) error { return connect(t, conninfo) }}}
	all, err := postgres.All()
	if err != nil {
		t.Logf("no psql: %v", err)
	}
	for _, p := range all {
		psql := filepath.Join(p.BinDir, "psql")
		if _, err := os.Stat(psql); err != nil {
			continue // the major's own psql is what counts here
		}
		clients = append(clients, peerClient{fmt.Sprintf("psql %d", p.Major), p.Major, func(t *testing.T, conninfo string) error {
			return runClient(t, psql, "-X", "-w", "-Atc", "IDENTIFY_SYSTEM", conninfo)
		}})
	}
	for module, script := range map[string]string{
		"psycopg2": `import sys, psycopg2.extras
c = psycopg2.connect(sys.argv[1], connection_factory=psycopg2.extras.PhysicalReplicationConnection)
u = c.cursor(); u.execute("IDENTIFY_SYSTEM"); assert u.fetchone()[1] == 1`,
		"psycopg": `import sys, psycopg
c = psycopg.connect(sys.argv[1], autocommit=True)
r = c.pgconn.exec_(b"IDENTIFY_SYSTEM"); assert r.get_value(0, 1) == b"1", r.error_message`,
	} {
		const python = "/usr/bin/python3" // the one that Debian's modules are for
		if err := exec.Command(python, "-c", "import "+module).Run(); err != nil {
			t.Logf("no %s for %s: %v", module, python, err)
			continue
		}
		clients = append(clients, peerClient{module, 15, func(t *testing.T, conninfo string) error {
			return runClient(t, python, "-c", script, conninfo)
		}})
	}
	return clients
}

func runClient(t *testing.T, program string, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "HOME=/nonexistent", "PGPASSFILE=/nonexistent")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// pair writes a client's certificate and key, and returns the words for both.
func pair(t *testing.T, c tls.Certificate) string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	must(t, err)
	return fmt.Sprintf("sslcert=%s sslkey=%s ",
		write(t, "client.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))),
		write(t, "client.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))))
}

// TestClients_1_10 connects every client by every method, and sees each refused that
// has proved too little.
func TestClients_1_10(t *testing.T) {
	me, err := user.Current()
	must(t, err)
	a, stranger := newAuthority(t, x509.SHA256WithRSA), newAuthority(t, x509.SHA256WithRSA)
	ed := newAuthority(t, x509.PureEd25519)
	const rules = `
local   replication owner    peer map=owners
local   replication all      peer
hostssl replication certain  all cert
hostssl replication mapped   all cert clientname=DN map=names
hostssl replication both     all scram-sha-256 clientcert=verify-full
hostssl replication bound    all scram-sha-256-plus
hostnossl replication free   127.0.0.1/32 trust
host    replication all      all scram-sha-256
`
	users := userLines(t, []string{"plain", "secret"}, []string{"both", "secret"}, []string{"bound", "secret"}, []string{"free", "secret"})
	doors := open(t, rules, users, "owners "+me.Username+" owner\nnames \"/^CN=node([0-9]+),OU=backup,O=Example$\" mapped\n")
	addr := serve(t, &walsender.Server{TLSConfig: a.serverTLS(t), Authenticator: doors})
	edAddr := serve(t, &walsender.Server{TLSConfig: ed.serverTLS(t), Authenticator: doors})
	dir, err := os.MkdirTemp("/tmp", "pgp")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, err := walsender.ListenUnix(dir, 5433)
	must(t, err)
	serveOn(t, &walsender.Server{Authenticator: doors}, socket)

	name := func(n string) pkix.Name {
		return pkix.Name{CommonName: n, Organization: []string{"Example"}, OrganizationalUnit: []string{"backup"}}
	}
	certain, node, strange := pair(t, a.issue(t, name("certain"))), pair(t, a.issue(t, name("node17"))), pair(t, stranger.issue(t, name("certain")))
	tcp := func(addr *net.TCPAddr, words string) string {
		return fmt.Sprintf("replication=true host=127.0.0.1 port=%d %s", addr.Port, words)
	}
	root := " sslmode=verify-ca sslrootcert=" + a.file(t) + " "
	clients := peerClients(t)
	if testing.Short() {
		clients = clients[:min(2, len(clients))]
	}
	for _, test := range []struct {
		name     string
		conninfo string
		since    int    // the major of libpq that knows the words
		want     string // a part of the error; empty: it connects
	}{
		{"scram", tcp(addr, "user=plain password=secret sslmode=disable"), 0, ""},
		{"scram, wrong", tcp(addr, "user=plain password=wrong sslmode=disable"), 0, `password authentication failed for user "plain"`},
		{"scram, nobody", tcp(addr, "user=nobody password=wrong sslmode=disable"), 0, `password authentication failed for user "nobody"`},
		{"scram over TLS", tcp(addr, "user=plain password=secret channel_binding=disable"+root), 0, ""},
		{"scram over TLS, bound", tcp(addr, "user=plain password=secret channel_binding=require"+root), 0, ""},
		{"scram over TLS, wrong", tcp(addr, "user=plain password=wrong"+root), 0, `password authentication failed for user "plain"`},
		{"scram only", tcp(addr, "user=plain password=secret require_auth=scram-sha-256"+root), 16, ""},
		{"scram over direct TLS", tcp(addr, "user=plain password=secret sslnegotiation=direct channel_binding=require"+root), 17, ""},
		{"scram, bound always", tcp(addr, "user=bound password=secret"+root), 0, ""},
		{"scram, not bound", tcp(addr, "user=bound password=secret channel_binding=disable"+root), 0, "channel binding is required"},
		{"scram, bound without TLS", tcp(addr, "user=plain password=secret channel_binding=require sslmode=disable"), 0, "channel binding"},
		{"Ed25519", tcp(edAddr, "user=plain password=secret sslmode=require"), 0, ""},
		{"Ed25519, bound", tcp(edAddr, "user=plain password=secret sslmode=require channel_binding=require"), 0, "channel binding"},
		{"cert", tcp(addr, "user=certain "+certain+root), 0, ""},
		{"cert of another", tcp(addr, "user=certain "+node+root), 0, `certificate authentication failed for user "certain"`},
		{"cert of a stranger", tcp(addr, "user=certain "+strange+root), 0, "unknown"},
		{"no cert", tcp(addr, "user=certain"+root), 0, "connection requires a valid client certificate"},
		{"cert, mapped by DN", tcp(addr, "user=mapped "+node+root), 0, ""},
		{"cert, not mapped", tcp(addr, "user=mapped "+certain+root), 0, `certificate authentication failed for user "mapped"`},
		{"password and no cert", tcp(addr, "user=both password=secret"+root), 0, "connection requires a valid client certificate"},
		{"password and another's cert", tcp(addr, "user=both password=secret "+certain+root), 0, `certificate authentication failed for user "both"`},
		{"trust", tcp(addr, "user=free sslmode=disable"), 0, ""},
		{"peer", "replication=true host=" + dir + " port=5433 user=" + me.Username, 0, ""},
		{"peer, mapped", "replication=true host=" + dir + " port=5433 user=owner", 0, ""},
		{"peer, another", "replication=true host=" + dir + " port=5433 user=plain", 0, `Peer authentication failed for user "plain"`},
	} {
		for _, client := range clients {
			if test.since > client.major {
				continue
			}
			t.Run(test.name+"/"+client.name, func(t *testing.T) {
				t.Parallel()
				err := client.run(t, test.conninfo)
				if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %q", err, test.want)
				}
			})
		}
	}
}
