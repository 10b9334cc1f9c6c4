package digestcache

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newCache(t testing.TB, size int64) *Cache {
	t.Helper()
	c, err := New(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// keyOf is a key of a file with a number.
func keyOf(n int64) Key {
	return Key{Version: protocol.FileVersion{Device: 1, Inode: uint64(n), Size: 100, ModTime: n, ChangeTime: n}, Algorithm: manifest.ChecksumSHA256}
}

// modelFile is a file on a file system whose clock moves in steps.
type modelFile struct {
	now     time.Time
	step    time.Duration
	content string
	version protocol.FileVersion
}

func (f *modelFile) tick() int64 { return f.now.Truncate(f.step).UnixNano() }

// write writes other content of the same length.
func (f *modelFile) write(content string) {
	f.content = content
	f.version.ModTime, f.version.ChangeTime = f.tick(), f.tick()
}

// setTime is utimes.
func (f *modelFile) setTime(to int64) { f.version.ModTime, f.version.ChangeTime = to, f.tick() }

// Whatever happens to a file, and whenever, a digest that is found is that of the content that
// the file has: also where the size and the time of modification are what they were, and where
// the clock has not moved.
func TestCache_ChangesAreSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, err := New(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f := &modelFile{
			now:     time.Unix(1_800_000_000, 0),
			step:    rapid.SampledFrom([]time.Duration{1, 4 * time.Millisecond, 10 * time.Millisecond, time.Second, settleTime}).Draw(t, "step"),
			version: protocol.FileVersion{Device: 1, Inode: 1, Size: 1},
		}
		f.write("a")
		// change is what may happen at any moment, also while the file is read.
		change := func(label string) {
			switch rapid.IntRange(0, 3).Draw(t, label) {
			case 0:
				old := f.version.ModTime
				f.write(string(rapid.RuneFrom([]rune("abc")).Draw(t, "content")))
				if rapid.Bool().Draw(t, "restored") {
					f.setTime(old)
				}
			case 1:
				f.now = f.now.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "later")))
			}
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			change("before")
			k := Key{Version: f.version}
			if digest, ok := c.Get(k); ok && digest != f.content {
				t.Fatalf("%q is found, and the file has %q", digest, f.content)
			} else if ok {
				continue
			}
			asked, before := f.now, f.version
			change("ahead of the reading")
			digest := f.content
			change("behind the reading")
			if Settled(before, f.version, asked) {
				c.Put(Key{Version: before}, digest)
				c.entries.Wait()
			}
		}
	})
}

// The value is held against the key: two keys may have the same hash.
func TestCache_Get_Collision(t *testing.T) {
	c := newCache(t, 1<<20)
	c.entries.Set(c.hash(keyOf(1)), entry{keyOf(2), "other"}, 1)
	c.entries.Wait()
	if digest, ok := c.Get(keyOf(1)); ok {
		t.Errorf("%q is found", digest)
	}
}

// Who wants the pages verified gets no digest of a file whose pages nobody looked at.
func TestCache_Get_Unverified(t *testing.T) {
	c := newCache(t, 1<<20)
	unverified := keyOf(1)
	unverified.Unverified = true
	c.Put(unverified, "u")
	c.Put(keyOf(2), "v")
	c.entries.Wait()
	if _, ok := c.Get(keyOf(1)); ok {
		t.Error("a digest without a look at the pages is found by who wants one")
	}
	also := keyOf(2)
	also.Unverified = true
	for k, want := range map[Key]string{unverified: "u", also: "v"} {
		if got, ok := c.Get(k); !ok || got != want {
			t.Errorf("%q, %v; want %q", got, ok, want)
		}
	}
	if got, want := c.Stats(), (Stats{Hits: 2, Misses: 1, Kept: 2, BytesSaved: 200}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Many who want the same digest at once read the file once.
func TestCache_Share_Once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var computed, got atomic.Int64
		release := make(chan struct{})
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				digest, ok := c.Share(t.Context(), keyOf(1), func() (string, bool) {
					computed.Add(1)
					<-release
					return "d", true
				})
				if ok && digest == "d" {
					got.Add(1)
				}
			})
		}
		synctest.Wait()
		close(release)
		group.Wait()
		if computed.Load() != 1 || got.Load() != 19 || c.Stats().Shared != 19 {
			t.Errorf("computed %d times, shared %d times, %+v", computed.Load(), got.Load(), c.Stats())
		}
	})
}

// What is no good for others, for it failed, was canceled or is of a file that changes, is not shared.
func TestCache_Share_Not(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		first, cancel := context.WithCancel(t.Context())
		began := make(chan struct{})
		go func() {
			_, _ = c.Share(first, keyOf(1), func() (string, bool) {
				close(began)
				<-first.Done()
				return "", false
			})
		}()
		<-began
		// One that waits for the first goes when it is to go, and the first with its own context.
		impatient, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		called := false
		if _, ok := c.Share(impatient, keyOf(1), func() (string, bool) { called = true; return "", true }); ok || called {
			t.Errorf("shared %v, computed %v", ok, called)
		}
		done := make(chan bool)
		go func() {
			_, ok := c.Share(t.Context(), keyOf(1), func() (string, bool) { return "", true })
			done <- ok
		}()
		synctest.Wait()
		cancel()
		if <-done {
			t.Error("what was canceled is shared")
		}
	})
}

// A panic is that of the caller.
func TestCache_Share_Panic(t *testing.T) {
	c := newCache(t, 1<<20)
	defer func() {
		if p := recover(); p != "mine" {
			t.Errorf("panic %v", p)
		}
	}()
	c.Share(t.Context(), keyOf(1), func() (string, bool) { panic("mine") })
	t.Error("no panic")
}

// A nil cache keeps nothing.
func TestCache_Nil(t *testing.T) {
	var c *Cache
	c.Put(keyOf(1), "d")
	computed := false
	if _, ok := c.Share(t.Context(), keyOf(1), func() (string, bool) { computed = true; return "d", true }); ok || !computed {
		t.Errorf("shared %v, computed %v", ok, computed)
	}
	if _, ok := c.Get(keyOf(1)); ok || c.Wants(manifest.ChecksumCRC32C) || c.Stats() != (Stats{}) {
		t.Error("a nil cache has something")
	}
	c.Close()
}

// After its end the cache keeps nothing, whoever still uses it.
func TestCache_Close(t *testing.T) {
	c, err := New(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	c.Put(keyOf(1), "d")
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for n := range int64(1000) {
				c.Put(keyOf(n), "d")
				c.Get(keyOf(n))
			}
		})
	}
	c.Close()
	users.Wait()
	c.Close()
	if _, ok := c.Get(keyOf(1)); ok {
		t.Error("a closed cache has something")
	}
}

// The memory that a full cache takes is what it was given, with digests of any length.
func TestCache_Memory(t *testing.T) {
	const size = 4 << 20
	for _, length := range []int{4, 16 << 10} {
		t.Run(strconv.Itoa(length), func(t *testing.T) {
			before := heap()
			c := newCache(t, size)
			for n := range int64(3 * size / (entryCost + length) / 2) {
				digest := fmt.Sprintf("%0*d", length, n)
				c.Put(keyOf(n), digest)
				if n%1000 == 0 {
					c.entries.Wait()
				}
			}
			c.entries.Wait()
			used := heap() - before
			t.Logf("%d of %d bytes, %+v", used, size, c.Stats())
			if used > size*5/4 {
				t.Errorf("%d bytes, and the cache was given %d", used, size)
			}
			if s := c.Stats(); s.Dropped == 0 {
				t.Errorf("nothing was dropped: %+v", s)
			}
			runtime.KeepAlive(c)
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkCache_Get(b *testing.B) {
	c := newCache(b, 64<<20)
	for n := range int64(10000) {
		c.Put(keyOf(n), "01234567890123456789012345678901")
	}
	c.entries.Wait()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for n := int64(0); pb.Next(); n++ {
			c.Get(keyOf(n % 10000))
		}
	})
}
