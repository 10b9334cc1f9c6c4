package sharedstate

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Sixty-four sessions together have the rate to 1 % over 20 seconds, and each its part of it, but for
// the burst at the beginning: whoever comes first has that.
func TestThrottle_4_6_SixtyFourSenders(t *testing.T) {
	const span, senders = 20 * time.Second, 64
	for _, kBps := range []int{1000, 10_240, 102_400} {
		t.Run(fmt.Sprintf("%dkBps", kBps), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				throttle := newThrottle(kBps)
				frame := throttle.frameSize(128 << 10)
				m := newMeter(t, kBps)
				sent := sendAll(t.Context(), throttle, m, span, senders, frame)
				total := m.rate * int64(span/time.Second)
				if got := float64(m.sent) / float64(total); got < 0.99 || got > 1.01 {
					t.Errorf("%d bytes are sent in %v, %.1f %% of what the rate allows", m.sent, span, got*100)
				}
				for i, one := range sent {
					if share := total / senders; one < share-2*int64(frame) || one > share+m.burst+2*int64(frame) {
						t.Errorf("sender %d has sent %d bytes, its part is %d and a frame has %d", i, one, share, frame)
					}
				}
			})
		})
	}
}

// sendAll has senders send frames for a time, and returns how many bytes each has sent.
func sendAll(ctx context.Context, throttle *throttle, m *meter, span time.Duration, senders, frame int) []int64 {
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	sent := make([]int64, senders)
	var wg sync.WaitGroup
	for i := range sent {
		wg.Go(func() {
			for throttle.await(ctx, frame) == nil {
				m.add(frame)
				sent[i] += int64(frame)
			}
		})
	}
	wg.Wait()
	return sent
}

// Whatever the rate, the frames and the number of senders, who come and go: what is not sent at the
// end is what the last ones wait with, once there are enough to use the rate.
func TestThrottle_4_6_ManySenders_Properties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		kBps := rapid.IntRange(32, 4096).Draw(rt, "kB a second")
		senders := rapid.IntRange(1, 64).Draw(rt, "senders")
		limit := rapid.IntRange(1, 16).Draw(rt, "pages") * pageSize
		pauses := rapid.SliceOfN(rapid.IntRange(0, 1000), senders, senders).Draw(rt, "milliseconds before the first frame")
		synctest.Test(t, func(t *testing.T) {
			throttle := newThrottle(kBps)
			frame := throttle.frameSize(limit)
			m := newMeter(t, kBps)
			// So long that each sender has its turn some twenty times.
			span := time.Second + throttle.pace.Load().duration(int64(frame*senders*20))
			ctx, cancel := context.WithTimeout(t.Context(), span)
			defer cancel()
			var wg sync.WaitGroup
			for _, pause := range pauses {
				wg.Go(func() {
					time.Sleep(time.Duration(pause) * time.Millisecond)
					for throttle.await(ctx, frame) == nil {
						m.add(frame)
					}
				})
			}
			wg.Wait()
			first := time.Duration(slices.Min(pauses)) * time.Millisecond
			if least := m.rate*int64(span-first)/int64(time.Second) - int64(senders*frame) - 1; m.sent < least {
				t.Errorf("%d bytes are sent in %v, expected at least %d", m.sent, span, least)
			}
		})
	})
}
