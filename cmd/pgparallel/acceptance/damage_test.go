package acceptance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// One byte of a heap page is another than it was. The user is told in which file and
// block, and that the backup has failed, but the backup is there, whole, and as good
// as the cluster is.
func TestDamagedPage_WarningFailureAndDataKept(t *testing.T) {
	t.Parallel()
	const block = 1234
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1})
	must(t, c.Start(ctx))
	must(t, c.Pgbench(ctx, "postgres", "-i", "-q", "-s", "1"))
	path := sql(t, c, "select pg_relation_filepath('pgbench_accounts')")
	must(t, c.Stop(ctx, postgres.Fast))
	flipByte(t, filepath.Join(c.Dir, path), block*8192+5000)

	s := serve(t, c.Dir)
	dir := filepath.Join(p.TempDir(t), "copy")
	b := run(t, backup(t, s.socketDir, dir, "-j", "2", "--no-sync"))
	said := b.stderr.String()
	if b.status() != 3 {
		t.Errorf("exit status %d, want 3", b.status())
	}
	want := regexp.MustCompile(fmt.Sprintf(`^pgparallel: warning: checksum verification failed in file "./%s", block %d: calculated [0-9A-F]+ but expected [0-9A-F]+
pgparallel: warning: 1 total checksum verification failures
pgparallel: error: .*checksum verification failure during base backup \(SQLSTATE XX001\)
$`, path, block))
	if !want.MatchString(said) {
		t.Errorf("it says\n%swant\n%s", said, want)
	}

	verifyBackup(t, p, dir)
	started := p.OpenCluster(t, dir)
	must(t, started.Start(ctx))
	if got := sql(t, started, "select count(*) from pgbench_tellers"); got != "10" {
		t.Errorf("a table that is not damaged has %s rows, want 10", got)
	}
	// The original's damage came along.
	_, err := started.SQL(ctx, "postgres", "select count(*) from pgbench_accounts where abalance = 0")
	if want := fmt.Sprintf("invalid page in block %d of relation %s", block, path); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("reading the damaged table: %v, want %q", err, want)
	}
}

func flipByte(t *testing.T, name string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, offset)
	must(t, err)
	b[0] ^= 0x20
	_, err = f.WriteAt(b, offset)
	must(t, err)
}
