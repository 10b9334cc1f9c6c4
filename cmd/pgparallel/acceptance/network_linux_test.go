package acceptance_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// secondHost is another machine on a network with this one: a network namespace, and the
// two ends of a cable.
type secondHost struct {
	namespace string
	ours      string // this machine's address on the cable
	network   string
}

// newSecondHost makes one that lasts until the test ends. That takes root and ip.
func newSecondHost(t *testing.T) *secondHost {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and the program ip")
	}
	id := os.Getpid()
	subnet := fmt.Sprintf("198.18.%d", id%250) // for tests of networks (RFC 2544)
	h := &secondHost{namespace: fmt.Sprintf("pgp%d", id), ours: subnet + ".1", network: subnet + ".0/24"}
	here, there := fmt.Sprintf("pgpa%d", id), fmt.Sprintf("pgpb%d", id)
	if out, err := exec.Command("ip", "netns", "add", h.namespace).CombinedOutput(); err != nil {
		t.Skipf("needs network namespaces: %s", out)
	}
	t.Cleanup(func() { exec.Command("ip", "netns", "delete", h.namespace).Run() }) // the cable goes with it
	for _, step := range []string{
		"link add " + here + " type veth peer name " + there + " netns " + h.namespace,
		"address add " + h.ours + "/24 dev " + here, "link set " + here + " up",
		"-n " + h.namespace + " address add " + subnet + ".2/24 dev " + there, "-n " + h.namespace + " link set " + there + " up",
	} {
		if out, err := exec.Command("ip", strings.Fields(step)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %s", step, out)
		}
	}
	return h
}

// on has a command run on the other machine.
func (h *secondHost) on(cmd *exec.Cmd) *exec.Cmd {
	there := exec.Command("ip", append([]string{"netns", "exec", h.namespace, cmd.Path}, cmd.Args[1:]...)...)
	there.Env, there.Dir = cmd.Env, cmd.Dir
	return there
}

// TestNetwork_SecondHost takes a backup of a running cluster from another machine, through
// TLS and with a password that is bound to the certificate, and receives WAL there.
func TestNetwork_SecondHost(t *testing.T) {
	p := postgres.Require(t)
	h := newSecondHost(t)
	cluster := p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1, Settings: map[string]string{"wal_keep_size": "64MB"}})
	must(t, cluster.Start(t.Context()))
	sql(t, cluster, "create table t as select i, repeat('x', 500) as filler from generate_series(1, 20000) i; select pg_switch_wal()")

	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	users := filepath.Join(dir, "users")
	for _, name := range []string{"nightly", "archiver"} {
		cmd := command(t, "passwd", "--users="+users, name)
		cmd.Stdin = strings.NewReader("secret of " + name + "\n")
		succeed(t, cmd)
	}
	hba := file("hba.conf", "hostssl replication nightly "+h.network+" scram-sha-256-plus commands=all\n"+
		"hostssl replication archiver "+h.network+" scram-sha-256 commands=passthrough\n")
	s := serve(t, cluster.Dir, "--cluster="+cluster.ConnString("postgres"), "--passthrough-superuser=postgres", "--listen="+h.ours+":5433",
		"--hba="+hba, "--users="+users, "--tls-self-signed="+filepath.Join(dir, "tls"))
	pgpass := file("pgpass", h.ours+":5433:replication:nightly:secret of nightly\n"+h.ours+":5433:replication:archiver:secret of archiver\n")
	conninfo := func(host, user string) string {
		return "host=" + host + " port=5433 user=" + user + " sslmode=verify-full channel_binding=require passfile=" + pgpass +
			" sslrootcert=" + filepath.Join(dir, "tls", "root.crt")
	}

	parent := p.TempDir(t)
	target := filepath.Join(parent, "copy")
	succeed(t, h.on(command(t, "backup", "-d", conninfo(h.ours, "nightly"), "-D", target, "-j", "4", "-c", "fast", "-X", "stream")))
	verifyBackup(t, p, target)

	// WAL is received there by PostgreSQL's own program.
	end := strings.TrimSpace(sql(t, cluster, "select pg_switch_wal()"))
	archive := filepath.Join(parent, "archive")
	must(t, os.Mkdir(archive, 0o755))
	program := func(name string, args ...string) *exec.Cmd { return p.Command(t.Context(), name, args...) }
	received := program("pg_receivewal", "-d", conninfo(h.ours, "archiver"), "-D", archive, "-E", end, "--no-loop", "-w")
	receive := exec.Command(received.Path, received.Args[1:]...) // as root, who owns the password file
	succeed(t, h.on(receive))
	if segments, _ := filepath.Glob(filepath.Join(archive, "0*")); len(segments) == 0 {
		t.Error("pg_receivewal received nothing")
	}

	for _, refused := range []struct {
		cmd  *exec.Cmd
		want string
	}{
		{h.on(command(t, "backup", "-d", conninfo(h.ours, "archiver"), "-D", target+"2")), "permission denied to take a backup"},
		{h.on(command(t, "backup", "-d", conninfo(h.ours, "nightly")+" channel_binding=disable", "-D", target+"2")), "channel binding is required"},
		{h.on(command(t, "backup", "-d", conninfo(h.ours, "nightly")+" sslmode=disable channel_binding=prefer", "-D", target+"2")), `no pg_hba.conf entry for replication connection from host "198.18.`},
		{command(t, "backup", "-h", s.socketDir, "-p", "5433", "-U", "nightly", "-D", target+"2"), `no pg_hba.conf entry for replication connection from host "[local]"`},
	} {
		if b := run(t, refused.cmd); b.status() == 0 || !strings.Contains(b.stderr.String(), refused.want) {
			t.Errorf("%v: %v, %s, want %s", refused.cmd, b.cmd.ProcessState, b.stderr.String(), refused.want)
		}
	}
}
