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

// throttle holds any number of senders together to a rate (MAX_RATE, §4.6), which may
// change (§8.2). In every span of time in which it does not they get no more bytes than
// the rate allows, and a burst of 1/8 s. The zero value does not limit. Its methods may be
// called from many goroutines at once; it must not be copied after first use.
type throttle struct {
	pace atomic.Pointer[pace] // nil for no limit
}

// pace is a rate from a moment on.
//
// It is a GCRA (the leaky bucket as a meter) in bytes: the counter runs ahead of
// what the rate has allowed since the epoch, and a sender waits until that has
// caught up with its own debit. One number is all the state there is, so it could
// as well live in a shared store.
type pace struct {
	kBps    int   // the rate as it was asked for
	rate    int64 // bytes a second; 0 for no limit
	epoch   time.Time
	counter atomic.Int64  // bytes debited since the epoch, less the credit nobody used
	over    chan struct{} // closed when another pace holds
}

// newThrottle makes a throttle of kBps kB (of 1024 bytes) a second, with a full
// burst at hand. Zero and less mean no limit, and so does more than 8388608
// (8 GiB/s).
func newThrottle(kBps int) *throttle {
	t := &throttle{}
	p := newPace(kBps)
	p.counter.Store(-p.burst())
	t.pace.Store(p)
	return t
}

func newPace(kBps int) *pace {
	p := &pace{kBps: kBps, epoch: time.Now(), over: make(chan struct{})}
	if kBps > 0 && kBps <= 1<<23 {
		p.rate = int64(kBps) * 1024
	}
	return p
}

// change lets another rate hold from now on, without a burst at hand: who changes the
// rate again and again gains nothing by it. Senders that sleep are woken, and wait for
// their bytes anew.
func (t *throttle) change(kBps int) {
	if old := t.pace.Swap(newPace(kBps)); old != nil {
		close(old.over)
	}
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
	for {
		p := t.pace.Load()
		if p == nil || p.rate == 0 {
			return slept, true
		}
		begin := time.Now()
		delay := p.debit(begin, int64(n))
		if delay == 0 {
			return slept, true
		}
		why := p.sleep(ctx, done, delay)
		slept += time.Since(begin)
		switch why {
		case woken:
			return slept, true
		case ended:
			// Those who wait already keep their turn: that errs on the slow side.
			p.counter.Add(-int64(n))
			return slept, false
		}
	}
}

// awakening says what has ended a sleep.
type awakening int

const (
	woken   awakening = iota // the time is over
	ended                    // nobody waits any more
	changed                  // another pace holds
)

func (p *pace) sleep(ctx context.Context, done <-chan struct{}, delay time.Duration) awakening {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return woken
	case <-ctx.Done():
		return ended
	case <-done:
		return ended
	case <-p.over:
		return changed
	}
}

// debit takes n bytes and returns how long it takes until the rate allows them.
func (p *pace) debit(now time.Time, n int64) time.Duration {
	allowed := p.allowed(now)
	for {
		old := p.counter.Load()
		debited := max(old, allowed-p.burst()) + n
		if p.counter.CompareAndSwap(old, debited) {
			return p.duration(debited - allowed)
		}
	}
}

// allowed is how many bytes the rate has allowed since the epoch. Seconds and
// the rest are multiplied apart, which neither overflows nor loses a byte.
func (p *pace) allowed(now time.Time) int64 {
	elapsed := int64(now.Sub(p.epoch))
	const second = int64(time.Second)
	return elapsed/second*p.rate + elapsed%second*p.rate/second
}

// duration is the time in which the rate allows n bytes, rounded up.
func (p *pace) duration(n int64) time.Duration {
	if n <= 0 {
		return 0
	}
	const second = int64(time.Second)
	return time.Duration(n/p.rate*second + (n%p.rate*second+p.rate-1)/p.rate)
}

func (p *pace) burst() int64 { return p.rate / bursts }

// frameSize is [Backup.FrameSize].
func (t *throttle) frameSize(limit int) int {
	p := t.pace.Load()
	if p == nil || p.rate == 0 {
		return limit
	}
	pages := max(p.burst()/pageSize, 1)
	return int(min(pages*pageSize, int64(limit)))
}

// maxRate is the rate that holds, in kB a second; 0 for no limit.
func (t *throttle) maxRate() int { return t.pace.Load().kBps }
