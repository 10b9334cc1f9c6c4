package walsender

import (
	"errors"

	"github.com/pgparallel/pgparallel/walsender/internal/digestcache"
)

// DefaultDigestCache is a size for a [DigestCache] that has room for the files of most clusters,
// in bytes.
const DefaultDigestCache = 64 << 20

// DigestCache keeps the digests of files that nobody has written to since, in memory ([Server].Digests).
// A digest takes about half a kilobyte, so that DefaultDigestCache has room for some 120,000 files. It is
// filled by LIST_FILES CHECKSUM and FILE_DIGESTS, and on the way by BASE_BACKUP, for whose manifest the
// server computes digests, and by SEND_FILE with those by CRC32C once a client has asked for some. Any
// number of goroutines may use it.
type DigestCache struct{ cache *digestcache.Cache }

// DigestStats counts what a [DigestCache] was good for.
type DigestStats = digestcache.Stats

// NewDigestCache makes a cache that takes about so many bytes of memory, 1 MiB at the least. A
// size below 1 is an error. Close it when it is needed no more.
func NewDigestCache(size int64) (*DigestCache, error) {
	if size < 1 {
		return nil, errors.New("the size of a cache of digests must be positive")
	}
	cache, err := digestcache.New(size)
	if err != nil {
		return nil, err
	}
	return &DigestCache{cache}, nil
}

// Close gives the memory back. A server that uses the cache nevertheless finds nothing in it. A nil
// one is closed.
func (c *DigestCache) Close() { c.kept().Close() }

// Stats counts since the cache was made. A nil cache has zeros.
func (c *DigestCache) Stats() DigestStats { return c.kept().Stats() }

// kept is the cache within, nil in a nil one: that keeps nothing.
func (c *DigestCache) kept() *digestcache.Cache {
	if c == nil {
		return nil
	}
	return c.cache
}
