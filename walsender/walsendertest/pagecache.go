package walsendertest

import (
	"sync"

	"github.com/dgraph-io/ristretto/v2"
)

// cachedBytes is how much a [Cluster] keeps of the pages it made: a page that is kept
// is there in a third of the time (BenchmarkCluster_Read).
const cachedBytes = 64 << 20

// pageCache keeps the pages that are asked for most. A page can be made again at any
// time, so that a cache which may lose what it is given, as ristretto may, is enough.
// The cache is there while a server holds it: ristretto has goroutines, and must not be
// closed under its users. The zero value is a cache that nobody holds, which keeps
// nothing.
type pageCache struct {
	mu    sync.Mutex
	users int
	pages *ristretto.Cache[uint64, cachedPage]
}

// cachedPage carries its key: ristretto compares only the hash.
type cachedPage struct {
	path   string
	number int64
	data   []byte // never changed
}

// hold opens the cache for a server, which gives it back by release.
func (c *pageCache) hold() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users == 0 {
		pages, err := ristretto.NewCache(&ristretto.Config[uint64, cachedPage]{
			NumCounters:        10 * cachedBytes / pageSize,
			MaxCost:            cachedBytes,
			BufferItems:        64,
			IgnoreInternalCost: true,
		})
		if err != nil {
			return err
		}
		c.pages = pages
	}
	c.users++
	return nil
}

// release is called when no session of the server is left.
func (c *pageCache) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users == 0 {
		c.pages.Close()
		c.pages = nil
	}
}

// open returns the cache to be used for one file, nil where nobody holds it.
func (c *pageCache) open() *ristretto.Cache[uint64, cachedPage] {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pages
}

// pageKey mixes the file's seed with the number of the page.
func pageKey(seed uint64, number int64) uint64 {
	return (seed ^ uint64(number)) * 0x9E3779B97F4A7C15
}
