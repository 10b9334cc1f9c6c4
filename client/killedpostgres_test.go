package client

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// PostgreSQL refuses to start from what kill -9 leaves in any step of a backup of a
// running cluster, until all is there and synchronized.
func TestBackup_5_6_PostgreSQLRefusesTheResidue(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	source := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	must(t, source.Start(ctx))
	live, err := livecluster.Open(ctx, source.Dir, livecluster.Config{
		ConnString: source.ConnString("postgres"), PassThroughSuperuser: "postgres",
	})
	must(t, err)
	server := &walsender.Server{Cluster: live}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(listener) //nolint:errcheck // always ErrServerClosed
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
		must(t, live.Close())
	})
	dsn := fmt.Sprintf("host=127.0.0.1 port=%d user=u sslmode=disable", listener.Addr().(*net.TCPAddr).Port)

	for _, name := range stepNames(t) {
		whole := name == "write manifest" || name == "remove marker"
		base := p.TempDir(t)
		dir := filepath.Join(base, "copy")
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), killedIn+"="+name, killedDir+"="+dir, killedDSN+"="+dsn)
		out, err := command.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("step %s: the process was not killed: %v\n%s", name, err, out)
		}
		must(t, p.Own(base))
		residue, err := p.At(dir)
		must(t, err)
		err = residue.Start(ctx)
		if whole != (err == nil) {
			t.Errorf("step %s: PostgreSQL says %v", name, err)
		}
		must(t, residue.Close())
		if _, err := os.Stat(dir); err == nil {
			_, again := Backup(ctx, Options{ConnConfig: newFake(t).config(), Dir: dir})
			if again == nil || !strings.Contains(again.Error(), "holds an unfinished backup") {
				t.Errorf("step %s: the next backup says %v", name, again)
			}
		}
	}
}
