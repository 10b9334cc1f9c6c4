package livecluster_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol/conninfo"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// forward makes the cluster's socket one of TCP as well, until the test ends.
func forward(t *testing.T, c *postgres.Cluster) (port int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var work sync.WaitGroup
	work.Go(func() { // ends with the listener
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() { splice(c, near) })
		}
	})
	t.Cleanup(func() { l.Close(); work.Wait() })
	return l.Addr().(*net.TCPAddr).Port
}

// splice passes on what both ends say, until one of them has ended.
func splice(c *postgres.Cluster, near net.Conn) {
	defer near.Close()
	far, err := net.Dial("unix", filepath.Join(c.SocketDir, ".s.PGSQL."+strconv.Itoa(c.Port)))
	if err != nil {
		return
	}
	done := make(chan struct{})
	go func() { // ends with far, which ends with near
		defer close(done)
		io.Copy(near, far)
		near.Close()
	}()
	io.Copy(far, near)
	far.Close()
	<-done
}

// TestOpen_PasswordFile finds the passwords by the database that is connected to, for
// each server of a list (B07).
func TestOpen_PasswordFile(t *testing.T) {
	c := newPrimary(t, nil)
	sql(t, c, "ALTER ROLE backup PASSWORD 'b'; ALTER ROLE passer PASSWORD 'p'")
	hba := "local all postgres trust\nlocal all all scram-sha-256\nlocal replication all scram-sha-256\n"
	must(t, os.WriteFile(filepath.Join(c.Dir, "pg_hba.conf"), []byte(hba), 0o600))
	sql(t, c, "SELECT pg_reload_conf()")
	port := strconv.Itoa(forward(t, c))
	name := filepath.Join(t.TempDir(), "pgpass")
	lines := "localhost:P:postgres:backup:b\nlocalhost:P:replication:passer:p\n127.0.0.1:1:postgres:backup:wrong\n127.0.0.1:P:postgres:backup:b\n"
	must(t, os.WriteFile(name, []byte(strings.ReplaceAll(lines, ":P:", ":"+port+":")), 0o600))
	t.Setenv("PGPASSFILE", name)
	for _, connString := range []string{
		"host=localhost user=backup port=" + port,
		"host=127.0.0.1,127.0.0.1 user=backup dbname=postgres port=1," + port,
	} {
		live, err := livecluster.Open(t.Context(), c.Dir, livecluster.Config{
			ConnString: connString, PassThrough: "host=localhost user=passer port=" + port, Logger: logger(t),
		})
		if err != nil {
			t.Errorf("%s: %v", connString, err)
			continue
		}
		must(t, live.Close())
	}
	must(t, os.Chmod(name, 0o640))
	var log keptLog
	_, err := livecluster.Open(t.Context(), c.Dir, livecluster.Config{ConnString: "host=localhost user=backup port=" + port, Logger: log.logger()})
	if err == nil || !strings.Contains(log.String(), "group or world access") {
		t.Errorf("with a file that others can read: error %v, log %s", err, log.String())
	}
}

// TestOpen_Keywords starts with whatever psql takes, and refuses the rest by name (B04,
// B06).
func TestOpen_Keywords(t *testing.T) {
	t.Parallel()
	c := newPrimary(t, nil)
	for options, want := range map[string]string{
		"keepalives=1 keepalives_idle=30 keepalives_interval=5 keepalives_count=3 gssencmode=disable gsslib=gssapi gssdelegation=0":     "",
		"load_balance_hosts=disable sslcompression=0 ssl_min_protocol_version=TLSv1.2 client_encoding=auto fallback_application_name=x": "",
		"requirepeer=postgres": "",
		"options='-c geqo=off' application_name=mine krbsrvname=x tcp_user_timeout=1000": "",
		"target_session_attrs=primary":        "",
		"target_session_attrs=prefer-standby": "",
		"target_session_attrs=standby":        "server is not in hot standby mode",
		"requirepeer=nobody":                  `requirepeer specifies "nobody"`,
		"sslcrl=/x":                           `invalid connection string for --cluster: connection option "sslcrl" is not supported`,
		"search_path=x":                       `invalid connection string for --cluster: invalid connection option "search_path"`,
	} {
		config := livecluster.Config{ConnString: as(c, "backup") + " " + options, PassThrough: as(c, "passer") + " " + options, Logger: logger(t)}
		live, err := livecluster.Open(t.Context(), c.Dir, config)
		if err == nil {
			must(t, live.Close())
		}
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: error %v, want %q", options, err, want)
		}
	}
}

// TestSession_TargetAttributes connects to the server beside a primary, and beside a
// standby, by every value (B04).
func TestSession_TargetAttributes(t *testing.T) {
	t.Parallel()
	primary := newPrimary(t, nil)
	standby := newStandby(t, primary)
	for connString, taken := range map[string]string{
		serve(t, primary).through(): "any read-write primary prefer-standby",
		serve(t, standby).through(): "any read-only standby prefer-standby",
	} {
		for _, attrs := range []string{"any", "read-write", "read-only", "primary", "standby", "prefer-standby"} {
			info, err := conninfo.Resolve(connString+" target_session_attrs="+attrs, conninfo.Options{Replication: true})
			must(t, err)
			_, err = client.DryRun(t.Context(), client.Options{ConnInfo: info, Dir: filepath.Join(t.TempDir(), "copy")})
			if want := strings.Contains(" "+taken+" ", " "+attrs+" "); want != (err == nil) {
				t.Errorf("%s: error %v", attrs, err)
			}
		}
	}
}
