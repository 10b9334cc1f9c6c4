package sharedstate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// await is wait without a backup that may end.
func (t *throttle) await(ctx context.Context, n int) error {
	if _, ok := t.wait(ctx, nil, n); !ok {
		return context.Cause(ctx)
	}
	return nil
}

// meter watches what a throttle lets through.
type meter struct {
	t     *testing.T
	rate  int64 // bytes a second
	burst int64
	begin time.Time

	mu   sync.Mutex
	sent int64
}

func newMeter(t *testing.T, kBps int) *meter {
	rate := int64(kBps) * 1024
	return &meter{t: t, rate: rate, burst: rate / 8, begin: time.Now()}
}

// allowed is what may have been sent by now, computed in another way than the
// throttle does.
func (m *meter) allowed() int64 {
	return int64(time.Since(m.begin).Seconds()*float64(m.rate)) + m.burst + 1
}

func (m *meter) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent += int64(n)
	if most := m.allowed(); m.sent > most {
		m.t.Errorf("%v after the start %d bytes are sent, at most %d may be", time.Since(m.begin), m.sent, most)
	}
}

// In ten seconds any number of senders get what the rate allows to the byte, less
// the frames that they wait with at the end.
func TestThrottle_4_6_Rate(t *testing.T) {
	const span = 10 * time.Second
	for _, kBps := range []int{32, 1000, 102400, 1048576} {
		for _, senders := range []int{1, 8} {
			t.Run(fmt.Sprintf("%dkBps/%d", kBps, senders), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					throttle := newThrottle(kBps)
					frame := throttle.frameSize(1 << 20)
					m := newMeter(t, kBps)
					ctx, cancel := context.WithTimeout(t.Context(), span)
					defer cancel()
					var wg sync.WaitGroup
					for range senders {
						wg.Go(func() {
							for throttle.await(ctx, frame) == nil {
								m.add(frame)
							}
						})
					}
					wg.Wait()
					if least := m.rate*10 + m.burst - int64(senders*frame); m.sent < least {
						t.Errorf("%d bytes are sent in %v, expected at least %d", m.sent, span, least)
					}
				})
			})
		}
	}
}

// Senders that give up, pause and send pieces of any size never make room for
// more than the rate and one burst.
func TestThrottle_4_6_NeverOverTheRate(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			const kBps = 256
			throttle := newThrottle(kBps)
			m := newMeter(t, kBps)
			var wg sync.WaitGroup
			for sender := range uint64(8) {
				random := rand.New(rand.NewPCG(seed, sender))
				wg.Go(func() {
					for range 100 {
						n := random.IntN(100_000)
						patience := time.Duration(random.Int64N(int64(2 * time.Second)))
						ctx, cancel := context.WithTimeout(t.Context(), patience)
						if throttle.await(ctx, n) == nil {
							m.add(n)
						}
						cancel()
						if random.IntN(10) == 0 {
							time.Sleep(time.Second)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// However long the senders were idle, they are ahead of the rate by one burst.
func TestThrottle_4_6_Burst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := newThrottle(32)
		time.Sleep(time.Hour)
		expectPause(t, throttle, 4096, 0)
		expectPause(t, throttle, 4096, time.Second/8)
		expectPause(t, throttle, 1, 30518*time.Nanosecond) // 1/32768 s, rounded up
	})
}

func TestThrottle_4_6_CancelRefunds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := newThrottle(32)
		expectPause(t, throttle, 4096, 0)

		reason := errors.New("the peer is gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second/16, func() { cancel(reason) })
		if err := throttle.await(ctx, 1<<20); err != reason {
			t.Errorf("Wait gave %v, expected the cause of the context", err)
		}
		expectPause(t, throttle, 4096, time.Second/16)
	})
}

func TestThrottle_4_6_NoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, throttle := range []*throttle{new(throttle), newThrottle(0), newThrottle(-1), newThrottle(1<<23 + 1)} {
			expectPause(t, throttle, 1<<30, 0)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := throttle.await(ctx, 1); err != context.Canceled {
				t.Errorf("Wait gave %v after the cancel, expected %v", err, context.Canceled)
			}
		}
	})
}

// A new rate holds at once, for those who sleep as well, and gives nobody a burst.
func TestThrottle_8_2_Change(t *testing.T) {
	const frame = 8192
	for _, c := range []struct {
		name     string
		from, to int
		pause    time.Duration // until the frames that wait are sent
	}{
		{"faster", 32, 1024, 4 * frame * time.Second / (1024 << 10)},
		{"slower", 64, 32, 4 * frame * time.Second / (32 << 10)},
		{"unlimited", 32, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				throttle := newThrottle(c.from)
				expectPause(t, throttle, int(throttle.pace.Load().burst()), 0)
				var senders sync.WaitGroup
				for range 4 {
					senders.Go(func() {
						if err := throttle.await(t.Context(), frame); err != nil {
							t.Error(err)
						}
					})
				}
				synctest.Wait() // they sleep
				begin := time.Now()
				throttle.change(c.to)
				senders.Wait()
				if pause := time.Since(begin); pause != c.pause {
					t.Errorf("the frames are sent %v after the change, want %v", pause, c.pause)
				}
				if got := throttle.maxRate(); got != c.to {
					t.Errorf("the rate is %d, want %d", got, c.to)
				}
			})
		})
	}
}

// Who changes the rate all the time gets no more than it allows.
func TestThrottle_8_2_NoBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := newThrottle(32)
		meter := newMeter(t, 32)
		for range 1000 {
			throttle.change(32)
			expectNoError(t, throttle.await(t.Context(), 1000))
			meter.add(1000)
		}
	})
}

func expectNoError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func expectPause(t *testing.T, throttle *throttle, n int, pause time.Duration) {
	t.Helper()
	begin := time.Now()
	if err := throttle.await(t.Context(), n); err != nil {
		t.Errorf("Wait(%d): %v", n, err)
	}
	if slept := time.Since(begin); slept != pause {
		t.Errorf("Wait(%d) slept %v, expected %v", n, slept, pause)
	}
}

func TestThrottle_FrameSize(t *testing.T) {
	for _, c := range []struct{ kBps, limit, size int }{
		{0, 131072, 131072},
		{32, 131072, 8192}, // a page takes longer than 1/8 s here
		{64, 131072, 8192},
		{100, 131072, 8192},
		{200, 131072, 24576},
		{1023, 131072, 122880},
		{1024, 131072, 131072},
		{1048576, 131072, 131072},
		{1048576, 1 << 30, 128 << 20},
		{32, 1000, 1000},
	} {
		if size := newThrottle(c.kBps).frameSize(c.limit); size != c.size {
			t.Errorf("at %d kB/s a frame of at most %d bytes has %d, expected %d", c.kBps, c.limit, size, c.size)
		}
	}
}

// What a frame costs: most of it is the clock.
func BenchmarkThrottle(b *testing.B) {
	for _, kBps := range []int{0, 1 << 23} {
		b.Run(fmt.Sprintf("%dkBps", kBps), func(b *testing.B) {
			throttle := newThrottle(kBps)
			ctx := b.Context()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := throttle.await(ctx, 64); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
