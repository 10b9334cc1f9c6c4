package livecluster_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// TestDigests_8_3_Writers_Long asks for digests while PostgreSQL writes. Of a file that stays as it is while
// the answer is made the digest is that of its content; of one that changes it is that of what was
// read, and no error; and none is kept that was computed while somebody wrote: when the writers have
// stopped each digest is that of the file.
func TestDigests_8_3_Writers_Long(t *testing.T) {
	longtest.Mark(t)
	cache, err := walsender.NewDigestCache(8 << 20)
	must(t, err)
	t.Cleanup(cache.Close)
	s := serve(t, newPrimary(t, map[string]string{"autovacuum": "off"}), func(server *walsender.Server) { server.Digests = cache })
	must(t, s.Pgbench(t.Context(), "postgres", "-q", "-i", "-s", "1"))
	accounts := sql(t, s.Cluster, "SELECT pg_relation_filepath('pgbench_accounts')")
	conn := replicate(t, s.through())

	sql(t, s.Cluster, "CHECKPOINT")
	wait(t, "a digest is kept", func() bool { // some seconds behind the last write
		before := cache.Stats().Hits
		_, err := conn.CopyTo(t.Context(), io.Discard, fmt.Sprintf("FILE_DIGESTS ('%s') CHECKSUM 'SHA256'", accounts))
		must(t, err)
		return cache.Stats().Hits > before
	})
	stop := s.StartLoad(t)
	unchanged, changed := 0, 0
	for i := range 4 {
		if i%2 == 0 {
			sql(t, s.Cluster, "CHECKPOINT") // writes what the sessions have changed
		}
		for path, digest := range digestsOf(t, conn, s.Dir, filepath.Dir(accounts)) {
			if digest.before == nil || !bytes.Equal(digest.before, digest.after) {
				changed++
				continue
			}
			unchanged++
			if digest.told != hex.EncodeToString(digest.before) {
				t.Errorf("round %d: the digest of %s is %s, want %x", i, path, digest.told, digest.before)
			}
		}
		checkBlocks(t, conn, s.Dir, accounts)
	}
	if unchanged == 0 || changed == 0 {
		t.Errorf("%d digests of files that stayed as they were, %d of others", unchanged, changed)
	}
	stop()
	sql(t, s.Cluster, "CHECKPOINT")
	for range 2 { // from the files, and from the cache
		for path, digest := range digestsOf(t, conn, s.Dir, filepath.Dir(accounts)) {
			if bytes.Equal(digest.before, digest.after) && digest.told != hex.EncodeToString(digest.after) {
				t.Errorf("when nobody writes: the digest of %s is %s, want %x", path, digest.told, digest.after)
			}
		}
	}
	if cache.Stats().Hits == 0 {
		t.Error("no digest came from the cache")
	}
}

// toldDigest is the digest of a file that a list has told, and those of its content before and behind.
type toldDigest struct {
	told          string
	before, after []byte
}

// digestsOf lists files with their digests. Those elsewhere than below a directory, and those that were not
// there ahead of the list, are left out.
func digestsOf(t *testing.T, conn *pgconn.PgConn, dir, below string) map[string]toldDigest {
	t.Helper()
	sums := func() map[string][]byte {
		all := map[string][]byte{}
		must(t, filepath.WalkDir(filepath.Join(dir, below), func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && !e.Type().IsRegular() {
				return nil
			}
			if err != nil {
				return err
			}
			content, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			name, _ := filepath.Rel(dir, path)
			all[name] = sumOf(content)
			return err
		}))
		return all
	}
	before := sums()
	results, err := command(t, conn, "LIST_FILES CHECKSUM 'SHA256'")
	must(t, err)
	after := sums()
	told := map[string]toldDigest{}
	for _, row := range results[0].Rows {
		path := string(row[0])
		if _, known := before[path]; known && row[4] != nil {
			told[path] = toldDigest{string(row[4]), before[path], after[path]}
		}
	}
	return told
}

func sumOf(content []byte) []byte {
	sum := manifest.ChecksumSHA256.New()
	sum.Write(content)
	return sum.Sum(nil)
}

// checkBlocks asks for the digests of the blocks of a file, which may grow: each block that stays
// as it is has the digest of its content.
func checkBlocks(t *testing.T, conn *pgconn.PgConn, dir, path string) {
	t.Helper()
	const block = 8192
	before, err := os.ReadFile(filepath.Join(dir, path))
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var digests bytes.Buffer
	_, err = conn.CopyTo(ctx, &digests, fmt.Sprintf("FILE_DIGESTS ('%s') CHECKSUM 'SHA256' BLOCK %d", path, block))
	must(t, err)
	after, err := os.ReadFile(filepath.Join(dir, path))
	must(t, err)
	size := manifest.ChecksumSHA256.Size()
	if n := digests.Len() / size; n < len(before)/block || n > len(after)/block || digests.Len()%size != 0 {
		t.Fatalf("%d bytes of digests of a file that had %d blocks and has %d", digests.Len(), len(before)/block, len(after)/block)
	}
	for at := 0; at < len(before); at += block {
		if was := before[at : at+block]; bytes.Equal(was, after[at:at+block]) {
			if got := digests.Bytes()[at/block*size:][:size]; !bytes.Equal(got, sumOf(was)) {
				t.Errorf("the digest of block %d of %s is %x, want %x", at/block, path, got, sumOf(was))
			}
		}
	}
}
