package acceptance_test

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// What is left out of a backup is told once, though the files are listed more than once
// (§5.14).
func TestBackup_SpecialFileIsToldOnce(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{WALSegmentSize: 1 << 20}.Write(data))
	must(t, unix.Mkfifo(filepath.Join(data, "pipe"), 0o600))
	b := succeed(t, backup(t, serve(t, data).socketDir, filepath.Join(t.TempDir(), "copy"), "--no-sync"))
	if said := b.stderr.String(); strings.Count(said, "pipe") != 1 {
		t.Errorf("the FIFO is named other than once:\n%s", said)
	}
}
