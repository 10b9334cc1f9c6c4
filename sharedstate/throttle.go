package sharedstate

import (
	"context"
	"sync/atomic"
	"time"
)

// bursts is how many bursts make a second: after a pause the senders may be ahead
// of the rate by 1/8 s (THROTTLING_FREQUENCY in PostgreSQL's basebackup_throttle.c).
const bursts = 8

// pageSize is the block size of PostgreSQL as everybody builds it. Frames are
// whole pages so that checksums can be verified frame by frame.
const pageSize = 8192

// throttle holds any number of senders together to a rate (MAX_RATE, §4.6). In
// every span of time they get no more bytes than the rate allows, and a burst of
// 1/8 s. The zero value does not limit. Its methods may be called from many
// goroutines at once; it must not be copied after first use.
//
// It is a GCRA (the leaky bucket as a meter) in bytes: the counter runs ahead of
// what the rate has allowed since the epoch, and a sender waits until that has
// caught up with its own debit. One number is all the state there is, so it could
// as well live in a shared store.
type throttle struct {
	rate    int64 // bytes a second; 0 for no limit
	epoch   time.Time
	counter atomic.Int64 // bytes debited since the epoch, less the credit nobody used
}

// newThrottle makes a throttle of kBps kB (of 1024 bytes) a second, with a full
// burst at hand. Zero and less mean no limit, and so does more than 8388608
// (8 GiB/s).
func newThrottle(kBps int) *throttle {
	t := &throttle{epoch: time.Now()}
	if kBps > 0 && kBps <= 1<<23 {
		t.rate = int64(kBps) * 1024
		t.counter.Store(-t.burst())
	}
	return t
}

// wait debits n bytes, then sleeps until they may be sent. It is called before they
// are. n may be larger than a burst. When ctx ends first, or done is closed, the bytes
// are refunded. It returns how long it slept, and whether the bytes may be sent.
func (t *throttle) wait(ctx context.Context, done <-chan struct{}, n int) (slept time.Duration, ok bool) {
	select {
	case <-ctx.Done():
		return 0, false
	case <-done:
		return 0, false
	default:
	}
	if t.rate == 0 {
		return 0, true
	}
	begin := time.Now()
	delay := t.debit(begin, int64(n))
	if delay == 0 {
		return 0, true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		ok = true
	case <-ctx.Done():
	case <-done:
	}
	if !ok {
		// Those who wait already keep their turn: that errs on the slow side.
		t.counter.Add(-int64(n))
	}
	return time.Since(begin), ok
}

// debit takes n bytes and returns how long it takes until the rate allows them.
func (t *throttle) debit(now time.Time, n int64) time.Duration {
	allowed := t.allowed(now)
	for {
		old := t.counter.Load()
		debited := max(old, allowed-t.burst()) + n
		if t.counter.CompareAndSwap(old, debited) {
			return t.duration(debited - allowed)
		}
	}
}

// allowed is how many bytes the rate has allowed since the epoch. Seconds and
// the rest are multiplied apart, which neither overflows nor loses a byte.
func (t *throttle) allowed(now time.Time) int64 {
	elapsed := int64(now.Sub(t.epoch))
	const second = int64(time.Second)
	return elapsed/second*t.rate + elapsed%second*t.rate/second
}

// duration is the time in which the rate allows n bytes, rounded up.
func (t *throttle) duration(n int64) time.Duration {
	if n <= 0 {
		return 0
	}
	const second = int64(time.Second)
	return time.Duration(n/t.rate*second + (n%t.rate*second+t.rate-1)/t.rate)
}

func (t *throttle) burst() int64 { return t.rate / bursts }

// frameSize is [Backup.FrameSize].
func (t *throttle) frameSize(limit int) int {
	if t.rate == 0 {
		return limit
	}
	pages := max(t.burst()/pageSize, 1)
	return int(min(pages*pageSize, int64(limit)))
}
