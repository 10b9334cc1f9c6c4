//go:build unix

package protocol_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/pgparallel/pgparallel/protocol"
)

// postgres is a PostgreSQL installation, whose programs run as an ordinary user.
type postgres struct {
	bin        string
	credential *syscall.Credential // nil: as whoever runs the test
}

// findPostgres skips the test where there is no PostgreSQL, and fails it where
// PGPARALLEL_REQUIRE_POSTGRES is 1.
func findPostgres(t *testing.T) postgres {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("PGPARALLEL_REQUIRE_POSTGRES") == "1" {
		missing = t.Fatalf
	}
	var pg postgres
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		pg.bin = strings.TrimSpace(string(out))
	}
	if _, err := os.Stat(filepath.Join(pg.bin, "initdb")); pg.bin == "" || err != nil {
		initdb, err := exec.LookPath("initdb")
		if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); err != nil && len(found) > 0 {
			initdb, err = found[len(found)-1], nil
		}
		if err != nil {
			missing("no PostgreSQL here: neither pg_config nor initdb was found")
		}
		pg.bin = filepath.Dir(initdb)
	}
	if os.Geteuid() == 0 { // which PostgreSQL refuses
		u, err := user.Lookup("postgres")
		if err != nil {
			u, err = user.Lookup("nobody")
		}
		if err != nil {
			missing("no user to run PostgreSQL as: %v", err)
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		pg.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return pg
}

// tempDir is a directory of the user's, short enough for the path of a socket.
func (pg postgres) tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if pg.credential != nil {
		if err := os.Chown(dir, int(pg.credential.Uid), int(pg.credential.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (pg postgres) command(dir, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(pg.bin, program), args...)
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + pg.bin + ":/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pg.credential}
	return cmd
}

func (pg postgres) run(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	if out, err := pg.command(dir, program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// start makes a cluster in dir/data and runs it, with its socket in dir, until
// the test ends.
func (pg postgres) start(t *testing.T, dir string) {
	t.Helper()
	pg.run(t, dir, "initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
	server := pg.command(dir, "postgres", "-D", "data", "-k", dir, "-F",
		"-c", "listen_addresses=", "-c", "log_timezone=UTC", "-c", "shared_buffers=1MB", "-c", "logging_collector=off")
	stderr, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan bool, 1), make(chan struct{})
	go func() { // ends with the server, which closes its end of the pipe
		defer close(ended)
		log := bufio.NewScanner(stderr)
		for log.Scan() {
			if strings.Contains(log.Text(), "ready to accept connections") {
				ready <- true
			}
		}
		close(ready)
	}()
	t.Cleanup(func() {
		server.Process.Signal(syscall.SIGINT)
		<-ended
		server.Wait()
	})
	if !<-ready {
		t.Fatal("PostgreSQL did not start")
	}
}

// PostgreSQL is the oracle: what it writes is read, and written again to the byte;
// what it answers to odd startup packets is what these packets get here.
func TestPostgreSQL(t *testing.T) {
	pg := findPostgres(t)
	dir := pg.tempDir(t)
	pg.start(t, dir)
	for _, name := range []string{"naïve", "quote\" back\\slash", "\b\f\n\r\t\x01\x1f\x7f", "not UTF-8 \xff"} {
		if err := os.WriteFile(filepath.Join(dir, "data", name), []byte(name), 0o644); err != nil {
			t.Logf("without a file %q: %v", name, err) // not every file system takes every name
		}
	}
	for i, options := range [][]string{
		nil,
		{"--manifest-checksums=SHA512", "--manifest-force-encode"},
		{"--manifest-checksums=NONE"},
	} {
		t.Run(strings.Join(options, " "), func(t *testing.T) {
			backup := fmt.Sprintf("backup%d", i)
			pg.run(t, dir, "pg_basebackup", append(options, "-h", dir, "-U", "postgres", "-D", backup,
				"-X", "none", "-c", "fast", "-l", "it's a label", "--no-sync")...)
			checkManifest(t, filepath.Join(dir, backup), len(options) == 2)
			checkLabel(t, filepath.Join(dir, backup, "backup_label"))
		})
	}
	t.Run("startup", func(t *testing.T) { checkStartup(t, filepath.Join(dir, ".s.PGSQL.5432")) })
}

func checkManifest(t *testing.T, backup string, forceEncode bool) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join(backup, "backup_manifest"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := protocol.ReadManifest(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(writeManifest(t, m, forceEncode))); diff != "" {
		t.Errorf("manifest (-want +got):\n%.2000s", diff)
	}
	for _, f := range m.Files {
		content, err := fs.ReadFile(os.DirFS(backup), f.Path)
		if err != nil {
			content, err = os.ReadFile(filepath.Join(backup, f.Path)) // DirFS takes UTF-8 only
		}
		if err != nil {
			t.Fatal(err)
		}
		var sum []byte
		if h := f.Algorithm.New(); h != nil {
			h.Write(content)
			sum = h.Sum(nil)
		}
		if int64(len(content)) != f.Size || !bytes.Equal(sum, f.Checksum) {
			t.Errorf("%q: %d bytes, %v %x; the manifest has %+v", f.Path, len(content), f.Algorithm, sum, f)
		}
	}
}

func checkLabel(t *testing.T, name string) {
	t.Helper()
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	l, err := protocol.ParseBackupLabel(string(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), l.String()); diff != "" {
		t.Errorf("backup_label (-want +got):\n%s", diff)
	}
	if l.Label != "it's a label" || l.WALFile != protocol.WALFileName(l.StartTimeline, l.StartPtr, 16<<20) {
		t.Errorf("backup_label is %+v", l)
	}
}

func checkStartup(t *testing.T, socket string) {
	t.Helper()
	for name, wire := range map[string][]byte{
		"3.9999 and options":    packet(version3|9999, "user\x00postgres\x00_pq_.b\x001\x00_pq_.a\x00\x00\x00"),
		"3.9999":                packet(version3|9999, "user\x00postgres\x00\x00"),
		"options":               packet(version3, "_pq_.\x00\x00user\x00postgres\x00\x00"),
		"no terminator":         packet(version3, "user\x00postgres\x00"),
		"behind the terminator": packet(version3, "user\x00postgres\x00\x00x"),
		"no user":               packet(version3, "database\x00d\x00\x00"),
		"empty user":            packet(version3, "user\x00\x00\x00"),
		"replication=maybe":     packet(version3, "user\x00postgres\x00replication\x00maybe\x00\x00"),
		"replication=o":         packet(version3, "user\x00postgres\x00replication\x00o\x00\x00"),
		"replication=Database":  packet(version3, "user\x00postgres\x00replication\x00Database\x00\x00"),
	} {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(wire); err != nil {
			t.Fatal(err)
		}
		theirs, err := pgproto3.NewFrontend(conn, conn).Receive()
		if err != nil {
			t.Fatal(err)
		}
		var want any = theirs
		if e, failed := theirs.(*pgproto3.ErrorResponse); failed {
			want = protocol.ErrorFromResponse(e)
		}
		if diff := cmp.Diff(want, answer(wire)); diff != "" {
			t.Errorf("%s (-PostgreSQL +here):\n%s", name, diff)
		}
		conn.Close()
	}
}

// answer is what this package has to say to a startup packet: an error, or what
// there is to negotiate.
func answer(wire []byte) any {
	p, err := protocol.ReadStartupPacket(bytes.NewReader(wire))
	if err != nil {
		return err
	}
	m := p.(protocol.StartupMessage)
	if negotiate := m.Negotiate(); negotiate != nil {
		if negotiate.UnrecognizedOptions == nil {
			negotiate.UnrecognizedOptions = []string{} // as pgproto3 decodes it
		}
		return negotiate
	}
	_, err = m.Replication()
	return err
}
