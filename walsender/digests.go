package walsender

import (
	"context"
	"errors"
	"hash"
	"io"
	"io/fs"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender/internal/digestcache"
)

// digestBuffer is how much of a file is read at once for its digest, in bytes: whole pages.
const digestBuffer = 256 << 10

// digestSilence is for how long a session says nothing while digests are computed (§8.3).
const digestSilence = 10 * time.Second

// digester computes digests for one command. Its methods are for several goroutines at once.
type digester struct {
	cluster   Cluster
	cache     *digestcache.Cache
	places    chan struct{} // has one for each digest that may be computed at once
	algorithm manifest.ChecksumAlgorithm
	block     int64                // bytes; 0: the digest is of the whole file
	options   protocol.OpenOptions // without Notice
}

// newDigester makes a digester for a command in the backup; nil for none.
func (s *session) newDigester(b *sharedstate.Backup, algorithm manifest.ChecksumAlgorithm, block int64, noVerify bool) *digester {
	d := &digester{
		cluster: s.cluster, cache: s.server.Digests.kept(), places: s.server.digest,
		algorithm: algorithm, block: block, options: protocol.OpenOptions{VerifyChecksums: !noVerify},
	}
	if b != nil {
		d.options.StartPtr = b.StartPtr
	}
	return d
}

// digested is what is known of a file whose digest was asked for. It belongs to the goroutine
// that computes until done is closed, and then to the session's.
type digested struct {
	done     chan struct{} // nil: there is nothing to wait for
	digest   string        // empty where there is none, as because of err
	size     int64         // bytes that were read
	failures int           // damaged pages
	notices  []*protocol.Error
	err      error
	panicked any // by the cluster: it is the session that panics
}

// cached is the digest of a file, if the cache has one. A zero version has none.
func (d *digester) cached(v protocol.FileVersion) (*digested, bool) {
	if v == (protocol.FileVersion{}) {
		return nil, false
	}
	digest, ok := d.cache.Get(d.key(v))
	return &digested{digest: digest, size: v.Size}, ok
}

func (d *digester) key(v protocol.FileVersion) digestcache.Key {
	return digestcache.Key{Version: v, Algorithm: d.algorithm, Block: d.block, Unverified: !d.options.VerifyChecksums}
}

// open opens a file whose digest is wanted. Warnings about its pages go to r.
func (d *digester) open(ctx context.Context, path string, r *digested) (fs.File, error) {
	o := d.options
	o.Notice = func(n *protocol.Error) { r.notices = append(r.notices, n) }
	file, err := d.cluster.Open(ctx, path, o)
	if err != nil {
		return nil, fileError(path, err)
	}
	return file, nil
}

// compute fills r with the digest of an open file, which the cache does not have. Where another
// session is computing the same digest, it waits for that.
func (d *digester) compute(ctx context.Context, file fs.File, r *digested) {
	version := versionOf(file)
	if version == (protocol.FileVersion{}) {
		d.read(ctx, file, r)
		return
	}
	own := false
	shared, ok := d.cache.Share(ctx, d.key(version), func() (string, bool) {
		own = true
		settled := d.read(ctx, file, r)
		return r.digest, settled == version
	})
	switch {
	case ok:
		r.digest, r.size = shared, version.Size
	case own:
	case ctx.Err() != nil:
		r.err = context.Cause(ctx)
	default: // what the other has computed is for itself
		d.read(ctx, file, r)
	}
}

// finish is deferred by the goroutine that computes.
func (r *digested) finish() {
	r.panicked = recover()
	close(r.done)
}

// isDone reports whether there is nothing to wait for.
func (r *digested) isDone() bool {
	if r.done == nil {
		return true
	}
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// versionOf is the version of a file now, and zero where it is not known.
func versionOf(file fs.File) protocol.FileVersion {
	if versioned, ok := file.(VersionedFile); ok {
		return versioned.Version()
	}
	return protocol.FileVersion{}
}

// read reads the file for its digest as soon as there is a place, and puts the digest into the
// cache. It returns the version for which the digest holds in every session, which is zero for
// none.
func (d *digester) read(ctx context.Context, file fs.File, r *digested) (settled protocol.FileVersion) {
	select {
	case d.places <- struct{}{}:
		defer func() { <-d.places }()
	case <-ctx.Done():
		r.err = context.Cause(ctx)
		return settled
	}
	asked := time.Now()
	before := versionOf(file)
	r.digest, r.size, r.err = d.sum(ctx, file)
	if verified, ok := file.(VerifiedFile); ok {
		r.failures = verified.ChecksumFailures()
	}
	if r.err != nil || r.size != before.Size || !digestcache.Settled(before, versionOf(file), asked) {
		return settled
	}
	d.cache.Put(d.key(before), r.digest)
	return before
}

// sum reads the file to its end.
func (d *digester) sum(ctx context.Context, file fs.File) (digest string, size int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return "", 0, err
	}
	sums := newBlockSums(d.algorithm, d.block)
	buffer := make([]byte, min((info.Size()/pageSize+1)*pageSize, digestBuffer))
	for {
		if ctx.Err() != nil {
			return "", size, context.Cause(ctx)
		}
		n, err := io.ReadFull(file, buffer)
		sums.add(buffer[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return sums.end(), size, nil
		}
		if err != nil {
			return "", size, err
		}
	}
}

// blockSums are the digests of the blocks of a file, or that of a file, which is one block.
type blockSums struct {
	hash.Hash
	digests []byte
	block   int64 // bytes; 0: the file is one, also when it is empty
	left    int64 // of the block that was begun
}

func newBlockSums(a manifest.ChecksumAlgorithm, block int64) *blockSums {
	b := &blockSums{Hash: a.New(), block: block, left: block}
	if block == 0 {
		b.left = math.MaxInt64
	}
	return b
}

// add sums up more of the file.
func (b *blockSums) add(p []byte) {
	for len(p) > 0 {
		n := min(int64(len(p)), b.left)
		b.Write(p[:n])
		p, b.left = p[n:], b.left-n
		if b.left == 0 {
			b.digests, b.left = b.Sum(b.digests), b.block
			b.Reset()
		}
	}
}

// end is the digests, one behind the other, when all of the file was added.
func (b *blockSums) end() string {
	if b.block == 0 || b.left < b.block {
		b.digests = b.Sum(b.digests)
	}
	return string(b.digests)
}

// awaitDigest waits for a digest, and says something to the peer from time to time (§8.3). said
// is when that was last done. Then it tells what there is to tell of the file.
func (s *session) awaitDigest(ctx context.Context, b *sharedstate.Backup, r *digested, said *time.Time) error {
	for waiting := r.done != nil; waiting; {
		silence := time.NewTimer(time.Until(said.Add(digestSilence)))
		select {
		case <-r.done:
			waiting = false
		case <-silence.C:
			if err := s.sayAlive(); err != nil {
				return err
			}
			*said = time.Now()
		case <-ctx.Done():
			silence.Stop()
			return context.Cause(ctx)
		}
		silence.Stop()
	}
	if r.panicked != nil {
		panic(r.panicked)
	}
	for _, n := range r.notices {
		s.notice(n)
	}
	if b != nil {
		b.AddChecksumFailures(r.failures)
	}
	return nil
}

// sayAlive says what has gathered, and what the peer knows already.
func (s *session) sayAlive() error {
	if err := s.out.send(&pgproto3.ParameterStatus{Name: "parallel_backup_protocol", Value: "1"}); err != nil {
		return err
	}
	return s.out.flush()
}

// duringBackup is ctx, as long as the backup lives: a digest may take long. A nil backup has no
// end.
func duringBackup(ctx context.Context, b *sharedstate.Backup) (during context.Context, end func()) {
	if b == nil {
		return ctx, func() {}
	}
	during, cancel := context.WithCancelCause(ctx)
	go func() { // ends with the backup, or with the command
		select {
		case <-b.Done():
			cancel(b.Err())
		case <-during.Done():
		}
	}()
	return during, func() { cancel(nil) }
}

// passingDigest is the digest of a file that is read as a whole for another reason: it goes into
// the cache and nowhere else. A nil one does nothing.
type passingDigest struct {
	cache  *digestcache.Cache
	key    digestcache.Key
	file   fs.File
	asked  time.Time
	sum    hash.Hash
	length int64 // of what was added
}

// newPassingDigest begins the digest of a file that was opened and of which nothing was read. It
// is nil where nobody would have the use of it. CRC-32C takes a tenth of the time that sending
// takes, the others more than all of it.
func (s *session) newPassingDigest(file fs.File, algorithm manifest.ChecksumAlgorithm, noVerify bool) *passingDigest {
	cache := s.server.Digests.kept()
	if !cache.Wants(algorithm) {
		return nil
	}
	p := beginPassing(cache, file, algorithm, noVerify)
	if p != nil {
		p.sum = algorithm.New()
	}
	return p
}

// beginPassing is the beginning of a digest that somebody else computes; nil where it cannot be
// kept.
func beginPassing(cache *digestcache.Cache, file fs.File, algorithm manifest.ChecksumAlgorithm, noVerify bool) *passingDigest {
	asked := time.Now()
	version := versionOf(file)
	if cache == nil || version == (protocol.FileVersion{}) {
		return nil
	}
	return &passingDigest{cache, digestcache.Key{Version: version, Algorithm: algorithm, Unverified: noVerify}, file, asked, nil, 0}
}

// add sums up more of the file.
func (p *passingDigest) add(content []byte) {
	if p != nil {
		p.sum.Write(content)
		p.length += int64(len(content))
	}
}

// end ends the digest, for which the last reading had the error.
func (p *passingDigest) end(err error) {
	if p != nil && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		p.keep(p.sum, p.length)
	}
}

// keep keeps the digest of size bytes, which were all of the file, if nobody has written to the
// file meanwhile.
func (p *passingDigest) keep(sum hash.Hash, size int64) {
	if p != nil && sum != nil && p.key.Version.Size == size && digestcache.Settled(p.key.Version, versionOf(p.file), p.asked) {
		p.cache.Put(p.key, string(sum.Sum(nil)))
	}
}
