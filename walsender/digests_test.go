package walsender_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"iter"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// digestClient is a client that wants digests.
type digestClient struct {
	*pgconn.PgConn
	t       testing.TB
	notices []string
}

func newDigestClient(t testing.TB, addr net.Addr) *digestClient {
	t.Helper()
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d user=backup sslmode=disable replication=true", addr.(*net.TCPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	c := &digestClient{t: t}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { c.notices = append(c.notices, n.Message) }
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	if c.PgConn, err = pgconn.ConnectConfig(ctx, config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// ask sends a command and returns the rows of its result.
func (c *digestClient) ask(command string) ([]protocol.Row, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	results, err := c.Exec(ctx, command).ReadAll()
	if err != nil || len(results) != 1 {
		return nil, err
	}
	rows := make([]protocol.Row, len(results[0].Rows))
	for i, row := range results[0].Rows {
		rows[i] = row
	}
	return rows, nil
}

// list is what LIST_FILES lists with digests.
func (c *digestClient) list(command string, algorithm manifest.ChecksumAlgorithm) map[string]protocol.File {
	c.t.Helper()
	rows, err := c.ask(command)
	if err != nil {
		c.t.Fatalf("%s: %v", command, err)
	}
	files := map[string]protocol.File{}
	for _, row := range rows {
		f, err := protocol.DecodeFileChecksum(row, algorithm.Size())
		if err != nil {
			c.t.Fatal(err)
		}
		files[f.Path] = f
	}
	return files
}

// fetch is what SEND_FILE sends.
func (c *digestClient) fetch(command string) ([]byte, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	var content bytes.Buffer
	_, err := c.CopyTo(ctx, &content, command)
	return content.Bytes(), err
}

// The digests are those of what SEND_FILE sends.
func TestListFiles_8_3_Digests(t *testing.T) {
	t.Parallel()
	c := newDigestClient(t, serve(t, &walsender.Server{Cluster: sampleCluster(t)}))
	if _, err := c.ask("START_BACKUP FAST"); err != nil {
		t.Fatal(err)
	}
	for a := manifest.ChecksumCRC32C; a <= manifest.ChecksumSHA512; a++ {
		for _, tablespace := range []string{"", " '16385'"} {
			files := c.list("LIST_FILES"+tablespace+" CHECKSUM '"+strings.ToLower(a.String())+"'", a)
			for _, f := range files {
				if f.Type != protocol.TypeFile || f.Path == "global/pg_control" || a == manifest.ChecksumNone {
					if f.Checksum != "" {
						t.Errorf("%v: a digest of %q", a, f.Path)
					}
					continue
				}
				content, err := c.fetch("SEND_FILE ('" + f.Path + "')")
				if err != nil {
					t.Fatal(err)
				}
				sum := a.New()
				sum.Write(content)
				if string(sum.Sum(nil)) != f.Checksum || int64(len(content)) != f.Size {
					t.Errorf("%v of %q: %x of %d bytes, want %x of %d", a, f.Path, f.Checksum, f.Size, sum.Sum(nil), len(content))
				}
			}
			if len(files) < 10 {
				t.Errorf("%d files", len(files))
			}
		}
	}
}

// Ranges are parts of the file, however they lie to its end and to the frames.
func TestSendFile_8_3_Ranges(t *testing.T) {
	t.Parallel()
	c := newDigestClient(t, serve(t, &walsender.Server{Cluster: sampleCluster(t)}))
	if _, err := c.ask("START_BACKUP FAST"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"base/1/20000", "PG_VERSION", "pg_wal/000000010000000000000002"} {
		whole, err := c.fetch("SEND_FILE ('" + path + "')")
		if err != nil {
			t.Fatal(err)
		}
		step := int64(8192)
		if path == "PG_VERSION" {
			step = 1
		}
		size := int64(len(whole))
		for _, offset := range []int64{0, step, size / 2 / step * step, size, size + step, 1 << 49 * step} {
			for _, length := range []int64{0, step, 16 * step, 17 * step, size + step, 1 << 49 * step} {
				command := fmt.Sprintf("SEND_FILE ('%s') OFFSET %d", path, offset)
				want := whole[min(offset, size):]
				if length > 0 {
					command += fmt.Sprintf(" LENGTH %d", length)
					want = want[:min(length, int64(len(want)))]
				}
				if got, err := c.fetch(command); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, %v; want %d", command, len(got), err, len(want))
				}
			}
		}
	}
	for _, command := range []string{
		"SEND_FILE ('global/pg_control') LENGTH 8192", "SEND_FILE ('global/pg_control') OFFSET 1",
		"SEND_FILE ('base/1/20000') OFFSET 8191", "SEND_FILE ('base/1/20000_vm') LENGTH 1",
		"LIST_FILES CHECKSUM 'MD5'", "LIST_FILES CHECKSUM 'CRC32C '",
	} {
		if _, err := c.fetch(command); !protocol.HasCode(protocolError(err), protocol.CodeInvalidParameterValue) {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// protocolError is a server's error as the protocol has it.
func protocolError(err error) error {
	refused, ok := err.(*pgconn.PgError)
	if !ok {
		return err
	}
	return protocol.Errorf(refused.Code, "%s", refused.Message)
}

// FILE_DIGESTS tells what LIST_FILES does, and the same of blocks.
func TestFileDigests_8_3(t *testing.T) {
	t.Parallel()
	cache := newDigestCache(t)
	c := newDigestClient(t, serve(t, &walsender.Server{Cluster: sampleCluster(t), Digests: cache}))
	if _, err := c.ask("START_BACKUP FAST"); err != nil {
		t.Fatal(err)
	}
	var relation []byte
	for _, path := range []string{"PG_VERSION", "base/1/20000_vm", "base/1/20000"} {
		content, err := c.fetch("SEND_FILE ('" + path + "')")
		if err != nil {
			t.Fatal(err)
		}
		relation = content
		for _, a := range []manifest.ChecksumAlgorithm{manifest.ChecksumCRC32C, manifest.ChecksumSHA256} {
			for _, block := range []int{0, 8192, 16384, 1 << 20} {
				command := fmt.Sprintf("FILE_DIGESTS ('%s') CHECKSUM '%s'", path, a)
				var want []byte
				if block == 0 {
					want = sumOf(a, content)
				} else {
					command += fmt.Sprintf(" BLOCK %d", block)
					for part := range slices.Chunk(content, block) {
						want = append(want, sumOf(a, part)...)
					}
				}
				for range 2 { // by reading; perhaps from the cache
					if got, err := c.fetch(command); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s: %x, %v; want %x", command, got, err, want)
					}
				}
			}
		}
	}
	for command, code := range map[string]string{
		"FILE_DIGESTS ('base/1/20000') CHECKSUM 'MD5'":                       protocol.CodeInvalidParameterValue,
		"FILE_DIGESTS ('base/1/20000') CHECKSUM 'NONE'":                      protocol.CodeInvalidParameterValue,
		"FILE_DIGESTS ('base/1/20000') CHECKSUM 'CRC32C' BLOCK 4096":         protocol.CodeInvalidParameterValue,
		"FILE_DIGESTS ('base/1/20000') CHECKSUM 'CRC32C' BLOCK 1056768":      protocol.CodeInvalidParameterValue,
		"FILE_DIGESTS ('global/pg_control') CHECKSUM 'CRC32C'":               protocol.CodeInvalidParameterValue,
		"FILE_DIGESTS ('pg_wal/000000010000000000000002') CHECKSUM 'CRC32C'": protocol.CodeInvalidParameterValue,
		"FILE_DIGESTS ('../x') CHECKSUM 'CRC32C'":                            protocol.CodeInvalidParameterValue,
		"FILE_DIGESTS ('base') CHECKSUM 'CRC32C'":                            protocol.CodeWrongObjectType,
		"FILE_DIGESTS ('base/1/99999') CHECKSUM 'CRC32C'":                    protocol.CodeUndefinedFile,
		"FILE_DIGESTS ('postmaster.opts') CHECKSUM 'CRC32C'":                 protocol.CodeInsufficientPrivilege,
	} {
		if _, err := c.fetch(command); !protocol.HasCode(protocolError(err), code) {
			t.Errorf("%s: %v, want %s", command, err, code)
		}
	}
	if _, err := c.ask("STOP_BACKUP NOWAIT"); err != nil {
		t.Fatal(err)
	}
	outside, err := c.fetch("FILE_DIGESTS ('base/1/20000') CHECKSUM 'CRC32C'")
	if want := sumOf(manifest.ChecksumCRC32C, relation); err != nil || !bytes.Equal(outside, want) {
		t.Errorf("outside of a backup: %x, %v, want %x", outside, err, want)
	}
}

func sumOf(a manifest.ChecksumAlgorithm, content []byte) []byte {
	sum := a.New()
	sum.Write(content)
	return sum.Sum(nil)
}

func newDigestCache(t testing.TB) *walsender.DigestCache {
	t.Helper()
	cache, err := walsender.NewDigestCache(4 << 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cache.Close)
	return cache
}

// agedCluster is a cluster of a data directory whose files all have a status that has not
// changed for an hour: a test cannot set that time, and does not want to wait.
type agedCluster struct {
	*datadir.Stopped
	dir   string
	opens atomic.Int64
	held  chan struct{} // nil, or what opening waits for
}

// newAgedCluster is a small cluster.
func newAgedCluster(t testing.TB) *agedCluster {
	t.Helper()
	c := &agedCluster{dir: filepath.Join(t.TempDir(), "data")}
	sample := walsendertest.Sample{WALSegmentSize: 1 << 20, Relations: 2, RelationPages: 20}
	if err := sample.Write(c.dir); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.Stopped, err = datadir.Open(c.dir, datadir.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (c *agedCluster) Reopen(context.Context) (any, func(), error) { return c, func() {}, nil }

func (c *agedCluster) Files(ctx context.Context, tablespace string, notice protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		for f, err := range c.Stopped.Files(ctx, tablespace, notice) {
			f.Version = aged(f.Version)
			if !yield(f, err) {
				return
			}
		}
	}
}

func (c *agedCluster) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	f, err := c.Stopped.Open(ctx, name, o)
	if err != nil || name == "global/pg_control" || strings.HasPrefix(name, "pg_wal/") {
		return f, err
	}
	c.opens.Add(1)
	if c.held != nil {
		select {
		case <-c.held:
		case <-ctx.Done():
		}
	}
	if verified, ok := f.(walsender.VerifiedFile); ok {
		return agedVerified{verified}, nil
	}
	return agedFile{f}, nil
}

type agedFile struct{ fs.File }

func (f agedFile) Version() protocol.FileVersion {
	return aged(f.File.(walsender.VersionedFile).Version())
}

type agedVerified struct{ walsender.VerifiedFile }

func (f agedVerified) Version() protocol.FileVersion {
	return aged(f.VerifiedFile.(walsender.VersionedFile).Version())
}

// aged is a version as it would be if all had happened an hour before.
func aged(v protocol.FileVersion) protocol.FileVersion {
	if v != (protocol.FileVersion{}) {
		v.ModTime -= int64(time.Hour)
		v.ChangeTime -= int64(time.Hour)
	}
	return v
}

// becomes waits until a condition holds: the cache takes what it is given when it has the time.
func becomes(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
		time.Sleep(time.Millisecond)
	}
}

// flip changes a byte of a file, and leaves its size and its time of modification as they were.
func flip(t testing.TB, path string, at int64) {
	t.Helper()
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err = f.ReadAt(b[:], at); err == nil {
		b[0] ^= 1
		_, err = f.WriteAt(b[:], at)
	}
	if err == nil {
		err = os.Chtimes(path, before.ModTime(), before.ModTime())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A second listing opens no file but those that were written to, whatever their size and time
// say.
func TestListFiles_8_3_Cache(t *testing.T) {
	t.Parallel()
	cluster, cache := newAgedCluster(t), newDigestCache(t)
	c := newDigestClient(t, serve(t, &walsender.Server{Cluster: cluster, Digests: cache}))
	list := func() map[string]protocol.File {
		return c.list("LIST_FILES CHECKSUM 'SHA256'", manifest.ChecksumSHA256)
	}
	first := list()
	opened := cluster.opens.Load()
	// opensAll lists until a listing opens so many files.
	opensOnly := func(n int64) (files map[string]protocol.File) {
		becomes(t, "the digests are kept", func() bool {
			before := cluster.opens.Load()
			files = list()
			return cluster.opens.Load() == before+n
		})
		return files
	}
	if diff := cmp.Diff(first, opensOnly(0)); diff != "" {
		t.Errorf("(-computed +kept)\n%s", diff)
	}
	if s := cache.Stats(); s.Kept < opened || s.Hits < opened || s.BytesSaved < 163840 {
		t.Errorf("%d files were read, %+v", opened, s)
	}
	const path = "postgresql.conf"
	flip(t, filepath.Join(cluster.dir, path), 0)
	files := list()
	if files[path].Checksum == first[path].Checksum {
		t.Error("a change is not seen")
	}
	if diff := cmp.Diff(files, opensOnly(0)); diff != "" {
		t.Errorf("after a change (-computed +kept)\n%s", diff)
	}

	// A file with a damaged page is read each time, and each time that is told.
	const damaged = "base/1/20000"
	flip(t, filepath.Join(cluster.dir, damaged), 8192+4000)
	for range 3 {
		c.notices = nil
		opensOnly(1)
		if len(c.notices) != 1 || !strings.Contains(c.notices[0], `checksum verification failed in file "./base/1/20000", block 1`) {
			t.Errorf("notices %q", c.notices)
		}
	}
}

// A backup counts the damaged pages that were read for digests.
func TestListFiles_8_3_Damage(t *testing.T) {
	t.Parallel()
	cluster := newAgedCluster(t)
	flip(t, filepath.Join(cluster.dir, "base/1/20000"), 4000)
	for command, want := range map[string]string{
		"LIST_FILES CHECKSUM 'CRC32C'":                                       protocol.CodeDataCorrupted,
		"LIST_FILES CHECKSUM 'CRC32C' NOVERIFY_CHECKSUMS":                    "",
		"FILE_DIGESTS ('base/1/20000') CHECKSUM 'CRC32C'":                    protocol.CodeDataCorrupted,
		"FILE_DIGESTS ('base/1/20000') CHECKSUM 'CRC32C' NOVERIFY_CHECKSUMS": "",
		"LIST_FILES CHECKSUM 'NONE'":                                         "",
	} {
		c := newDigestClient(t, serve(t, &walsender.Server{Cluster: cluster, Digests: newDigestCache(t)}))
		if _, err := c.ask("START_BACKUP FAST"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.fetch(command); err != nil && !strings.Contains(err.Error(), "unexpected") {
			t.Logf("%s: %v", command, err)
		}
		_, err := c.ask("STOP_BACKUP NOWAIT")
		if refused := protocolError(err); want == "" && err != nil || want != "" && !protocol.HasCode(refused, want) {
			t.Errorf("%s: STOP_BACKUP says %v, want %q", command, err, want)
		}
	}
}

// What BASE_BACKUP and SEND_FILE have read need not be read again.
func TestListFiles_8_3_FilledOnTheWay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		fill func(c *digestClient, files map[string]protocol.File) error
	}{
		{"BASE_BACKUP", func(c *digestClient, _ map[string]protocol.File) error {
			_, err := c.fetch("BASE_BACKUP (CHECKPOINT 'fast', MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C')")
			return err
		}},
		{"SEND_FILE", func(c *digestClient, files map[string]protocol.File) error {
			if _, err := c.ask("START_BACKUP FAST"); err != nil {
				return err
			}
			// From now on somebody wants digests of this kind.
			if _, err := c.fetch("FILE_DIGESTS ('PG_VERSION') CHECKSUM 'CRC32C'"); err != nil {
				return err
			}
			for path, f := range files {
				if f.Type != protocol.TypeFile {
					continue
				}
				if _, err := c.fetch("SEND_FILE ('" + path + "')"); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cluster := newAgedCluster(t)
			plain := newDigestClient(t, serve(t, &walsender.Server{Cluster: cluster}))
			want := plain.list("LIST_FILES CHECKSUM 'CRC32C'", manifest.ChecksumCRC32C)
			cache := newDigestCache(t)
			c := newDigestClient(t, serve(t, &walsender.Server{Cluster: cluster, Digests: cache}))
			if err := tt.fill(c, want); err != nil {
				t.Fatal(err)
			}
			files := int64(0)
			for _, f := range want {
				if f.Checksum != "" {
					files++
				}
			}
			becomes(t, "the digests are kept", func() bool { return cache.Stats().Kept >= files })
			var got map[string]protocol.File
			becomes(t, "the digests are found", func() bool {
				before := cluster.opens.Load()
				got = c.list("LIST_FILES CHECKSUM 'CRC32C'", manifest.ChecksumCRC32C)
				return cluster.opens.Load() == before
			})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-computed +kept)\n%s", diff)
			}
		})
	}
}

// A byte that changes is always seen: with the size and the time that the file had, and within
// the same step of the file system's clock, which is what makes the rule of the last seconds.
func TestFileDigests_8_3_ChangesAreSeen(t *testing.T) {
	t.Parallel()
	cluster := newAgedCluster(t)
	c := newDigestClient(t, serve(t, &walsender.Server{Cluster: cluster.Stopped, Digests: newDigestCache(t)}))
	if _, err := c.ask("START_BACKUP FAST"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cluster.dir, "postgresql.conf")
	for i := range int64(300) {
		if i%3 > 0 { // sometimes it is asked twice
			flip(t, path, i%7)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.fetch("FILE_DIGESTS ('postgresql.conf') CHECKSUM 'SHA256'")
		if err != nil || !bytes.Equal(got, sumOf(manifest.ChecksumSHA256, content)) {
			t.Fatalf("after %d changes: %x, %v", i, got, err)
		}
	}
}
