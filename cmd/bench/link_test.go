package main

import (
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What comes out of a line is in order, never more than the rate, and half a round trip later.
func TestPacer_Properties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := link{rapid.Int64Range(1e6, 1e11).Draw(t, "rate"), time.Duration(rapid.Int64Range(0, 1e8).Draw(t, "rtt"))}
		p := pacer{link: l}
		began := time.Unix(1, 0)
		now, last, sent := began, time.Time{}, int64(0)
		for range rapid.IntRange(1, 200).Draw(t, "packets") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 1e6).Draw(t, "pause")))
			n := rapid.IntRange(1, 65536).Draw(t, "bytes")
			at, lost := p.arrival(now, n)
			if lost {
				if waits := p.free.Sub(now).Seconds() * float64(l.bytesPerSecond()); waits < float64(l.queue())-1 {
					t.Fatalf("a packet is lost while %.0f bytes wait, of %d", waits, l.queue())
				}
				continue
			}
			sent += int64(n)
			if at.Before(last) {
				t.Fatal("a packet overtakes another one")
			}
			if at.Before(now.Add(l.rtt / 2)) {
				t.Fatal("a packet arrives before half a round trip")
			}
			took := at.Add(-l.rtt / 2).Sub(began).Seconds()
			if most := took*float64(l.bytesPerSecond()) + 1000; float64(sent) > most { // times are whole nanoseconds
				t.Fatalf("%d bytes have left the line when %.0f can have", sent, most)
			}
			last = at
		}
	})
}

// hose gives packets of a size, and is closed then.
type hose struct{ packets, size int }

func (h *hose) Read(buffer []byte) (int, error) {
	if h.packets--; h.packets < 0 {
		return 0, os.ErrClosed
	}
	return h.size, nil
}

// drain notes when packets arrive.
type drain struct {
	began    time.Time
	arrivals []time.Duration
	err      error
}

func (d *drain) Write(p []byte) (int, error) {
	d.arrivals = append(d.arrivals, time.Since(d.began))
	return len(p), d.err
}

func TestLink_Carry(t *testing.T) {
	const second, ms = time.Second, time.Millisecond
	for _, test := range []struct {
		name string
		link link
		from hose
		want []time.Duration
	}{
		// 1000 bytes a second: a packet takes a second, of which 10 ms are on the way.
		{"one", link{8000, 20 * ms}, hose{1, 1000 + packetHeader}, []time.Duration{second + 10*ms}},
		// Of packets that come at once, one is sent while the queue, 50 bytes, has room for another.
		{"queue", link{8000, 20 * ms}, hose{9, 1000 + packetHeader}, []time.Duration{second + 10*ms}},
		{"room", link{8e6, 20 * ms}, hose{3, 10_000 + packetHeader}, []time.Duration{20 * ms, 30 * ms, 40 * ms}},
	} {
		synctest.Test(t, func(t *testing.T) {
			to := &drain{began: time.Now()}
			must(t, test.link.carry(t.Context(), &test.from, to))
			if diff := cmp.Diff(test.want, to.arrivals); diff != "" {
				t.Errorf("%s: arrivals (-want +got):\n%s", test.name, diff)
			}
		})
	}
	to := &drain{err: io.ErrShortWrite} // the device refuses a packet: it is lost, and the line goes on
	must(t, link{8e9, 0}.carry(t.Context(), &hose{2, 100}, to))
	if len(to.arrivals) != 2 {
		t.Errorf("%d packets are written, of 2", len(to.arrivals))
	}
}
