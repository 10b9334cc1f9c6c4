package main_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// The program lists a million files, plans what to do with them, and stays small.
func TestMemory_AMillionFilesPlanned_Long(t *testing.T) {
	longtest.Mark(t)
	const files, most = 1_000_000, 300 << 10 // kB
	cluster := &walsendertest.Cluster{Sample: walsendertest.Sample{SmallFiles: files}}
	server := &walsender.Server{Cluster: cluster}
	dir := socketDir(t)
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5433"))
	must(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // always ErrServerClosed
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	target := filepath.Join(t.TempDir(), "copy")
	b := succeed(t, backup(t, dir, target, "-j", "8", "--dry-run"))
	if !strings.Contains(b.stdout.String(), "\ntotal ") {
		t.Errorf("it says %q", b.stdout.String())
	}
	if _, err := os.Stat(target); !os.IsNotExist(err) {
		t.Errorf("the target: %v", err)
	}
	took := b.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	t.Logf("%d kB for %d files", took, files)
	if took >= most {
		t.Errorf("the client takes %d kB, want less than %d", took, most)
	}
}
