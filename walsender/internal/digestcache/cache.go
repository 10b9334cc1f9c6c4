// Package digestcache keeps digests of files in memory, so that the server does not read a file
// again that nobody has written to (§8.3).
//
// # Why a cache that loses what it is given
//
// Ristretto takes entries when it finds the time, drops them when it is busy, and refuses those
// that it does not expect to be asked for; what was put in a moment ago may not be there. For
// digests that is right. One that is missing costs the reading of a file, and can be had again at
// any time. Nobody counts on one: a listing of a cluster with more files than the cache has room
// for asks for all of them in turn, always the same, and a cache that lets the oldest go would
// then hit nothing, where ristretto keeps some and hits those. And many sessions can ask at once
// without waiting for each other.
//
// Nothing else in the server may be kept so. The state of a backup, the places in use, the count
// of damaged pages: who loses one of these has told a lie. Above all, a digest that is found here
// says nothing about the pages of the file. They were whole when they were read, which may be
// weeks ago; only reading shows what the disk has now. So the cache is not asked where a page is
// to be verified because it is sent, and never for a digest that goes into a manifest, which is
// one of bytes that were received.
//
// # When a digest may be kept
//
// The key has all that changes when somebody writes to a file: size and time of modification,
// which can be set back, and the time of the last status change, which cannot. It is stored
// with the value, and compared: ristretto finds values by a hash of 64 bits. Three things are to
// be seen to.
//
//   - The file must not be written to while it is read: the key is taken of the open file before
//     it is read and after it, and is the same (Settled).
//   - The clock of a file system moves in steps, of some milliseconds, and on some of 2 s. Two
//     writes within one step leave the same times. So a file is left out that was written to in the
//     last 2 s before it was read: whatever comes later has another time.
//   - A file with a page that was not whole at the first look is left out: whoever asks next is
//     to hear of it, too. So are files that are read without a look at their pages, unless the
//     next one wants none either (Key.Unverified).
//
// What remains: whoever writes through a mapping of the file (mmap), which PostgreSQL does with no
// file of a backup, sets the times when the kernel takes the pages back, not when it writes; a
// kernel that has set the time of a write, and needs 2 s more to carry the write out, is not
// waited for; and whoever has set the clock back has made the same time happen twice. The file
// system must have a time of status change: one that has only that of modification shows less.
package digestcache

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"golang.org/x/sync/singleflight"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// Key says of what a digest is.
type Key struct {
	Version   protocol.FileVersion // not zero
	Algorithm manifest.ChecksumAlgorithm
	Block     int64 // bytes: the digests of all blocks of the file, one behind the other; 0: of the file
	// Unverified says that nobody has looked at the pages of the file, or, of a question,
	// that nobody needs to have.
	Unverified bool
}

// Cache keeps digests. Any number of goroutines may use it. A nil Cache keeps nothing.
type Cache struct {
	mu      sync.RWMutex // ristretto does not like to be used while it is closed
	closed  bool
	entries *ristretto.Cache[uint64, entry]
	seed    maphash.Seed
	flights singleflight.Group // by the text of the key
	asked   [manifest.ChecksumXXH128 + 1]atomic.Bool

	hits, misses, shared, kept, dropped, bytesSaved atomic.Int64
}

// entry carries its key: ristretto compares only the hash.
type entry struct {
	key    Key
	digest string
}

const (
	// entryCost is what an entry costs beside its digest, in bytes: the entry in the map of
	// values, its key and cost in the policy's map, with the room that maps leave free, and
	// the header of the digest (TestCache_Memory).
	entryCost = 512

	// countersPerEntry are the counters for how often a key is asked for. Ristretto advises 10,
	// of 3 bytes each, which would be an eighth of all memory. Here every file is asked for
	// as often as the others.
	countersPerEntry = 2
	counterCost      = 3

	// emptyCost is what a cache takes that has nothing, in bytes: ristretto's queue of 32768
	// entries that wait to be stored.
	emptyCost = 288 << 10
)

// New makes a cache that takes about size bytes of memory, 1 MiB at the least. Close it, for it
// has a goroutine.
func New(size int64) (*Cache, error) {
	size = max(size, 1<<20)
	room := (size - emptyCost) / (entryCost + countersPerEntry*counterCost) // entries
	c := &Cache{seed: maphash.MakeSeed()}
	lost := func(*ristretto.Item[entry]) { c.dropped.Add(1) }
	var err error
	c.entries, err = ristretto.NewCache(&ristretto.Config[uint64, entry]{
		NumCounters:            room * countersPerEntry,
		MaxCost:                room * entryCost,
		BufferItems:            64,
		IgnoreInternalCost:     true, // it is in entryCost
		TtlTickerDurationInSec: math.MaxInt32,
		OnEvict:                lost,
		OnReject:               lost,
	})
	return c, err
}

// Close ends the cache, which keeps nothing from then on.
func (c *Cache) Close() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.entries.Close()
}

// Get is the digest of a file whose version is the key's now, if it is known.
func (c *Cache) Get(k Key) (digest string, ok bool) {
	if c == nil {
		return "", false
	}
	c.asked[k.Algorithm].Store(true)
	verified := k
	verified.Unverified = false
	if digest, ok = c.find(verified); !ok && k.Unverified {
		digest, ok = c.find(k)
	}
	if !ok {
		c.misses.Add(1)
		return "", false
	}
	c.hits.Add(1)
	c.bytesSaved.Add(k.Version.Size)
	return digest, true
}

func (c *Cache) find(k Key) (digest string, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return "", false
	}
	found, ok := c.entries.Get(c.hash(k))
	return found.digest, ok && found.key == k
}

func (c *Cache) hash(k Key) uint64 { return maphash.Comparable(c.seed, k) }

// Wants reports whether anybody has asked for digests by the algorithm: whoever has the bytes of
// a file in hand for another reason need not compute them else.
func (c *Cache) Wants(a manifest.ChecksumAlgorithm) bool { return c != nil && c.asked[a].Load() }

// Put keeps a digest, if the cache likes to. The caller has found the version [Settled].
func (c *Cache) Put(k Key, digest string) {
	if c == nil {
		return
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed || !c.entries.Set(c.hash(k), entry{k, digest}, entryCost+int64(len(digest))) {
		c.dropped.Add(1)
		return
	}
	c.kept.Add(1)
}

// flight is what one goroutine has computed for all that wanted it.
type flight struct {
	digest   string
	settled  bool
	panicked any
}

// Share calls compute, which must return soon after ctx has ended, and returns when compute has;
// then it is not ok. But if another goroutine is computing for the same key at this moment, Share
// waits for that instead: it is ok where the digest is good for others, too. Where it is not,
// and where ctx ends before, compute has not been called. What compute puts into the cache and
// returns must be [Settled] to be settled. A nil Cache calls compute at once.
func (c *Cache) Share(ctx context.Context, k Key, compute func() (digest string, settled bool)) (digest string, ok bool) {
	if c == nil {
		compute()
		return "", false
	}
	var mine atomic.Bool
	computed := c.flights.DoChan(fmt.Sprint(k), func() (any, error) {
		mine.Store(true)
		if ctx.Err() != nil { // the caller may be gone
			return flight{}, nil
		}
		return fly(compute), nil
	})
	var f flight
	select {
	case r := <-computed:
		f, _ = r.Val.(flight)
	case <-ctx.Done():
		if !mine.Load() {
			return "", false
		}
		f, _ = (<-computed).Val.(flight)
	}
	if mine.Load() {
		if f.panicked != nil {
			panic(f.panicked)
		}
		return "", false
	}
	if !f.settled {
		return "", false
	}
	c.shared.Add(1)
	c.bytesSaved.Add(k.Version.Size)
	return f.digest, true
}

// fly calls compute. A panic is its caller's: in the goroutine of singleflight it would end the
// process.
func fly(compute func() (string, bool)) (f flight) {
	defer func() {
		if p := recover(); p != nil {
			f = flight{panicked: p}
		}
	}()
	f.digest, f.settled = compute()
	return f
}

// settleTime is for how long nobody may have written to a file whose digest is kept. It is the
// longest step that the clock of a file system has (FAT).
const settleTime = 2 * time.Second

// Settled reports whether a file whose version was the first before it was read, and the second
// after that, has a digest that holds as long as the version does. asked is the time before
// the first was taken.
func Settled(before, after protocol.FileVersion, asked time.Time) bool {
	latest := asked.Add(-settleTime).UnixNano()
	return before != protocol.FileVersion{} && before == after && before.ChangeTime <= latest && before.ModTime <= latest
}

// Stats tells what the cache was good for since it was made.
type Stats struct {
	Hits       int64 // digests that were found
	Misses     int64 // that were asked for and not found
	Shared     int64 // that another session was computing at that moment; they are misses, too
	Kept       int64 // that were given to the cache, and which it took at first
	Dropped    int64 // that it did not take, or let go to make room
	BytesSaved int64 // bytes of files that need not be read, thanks to Hits and Shared
}

// Stats counts. A nil Cache has zeros.
func (c *Cache) Stats() Stats {
	if c == nil {
		return Stats{}
	}
	return Stats{
		Hits: c.hits.Load(), Misses: c.misses.Load(), Shared: c.shared.Load(),
		Kept: c.kept.Load(), Dropped: c.dropped.Load(), BytesSaved: c.bytesSaved.Load(),
	}
}
