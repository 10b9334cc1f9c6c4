package main

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// link is a line between two hosts: so many bits a second in each direction, and half of the round
// trip on the way.
type link struct {
	bitsPerSecond int64
	rtt           time.Duration
}

// bytesPerSecond is what the line carries, the packets' headers included.
func (l link) bytesPerSecond() int64 { return l.bitsPerSecond / 8 }

// queue is how many bytes wait for the line at the most, as in a router: what it carries in a round
// trip, or in 50 ms. More are lost. It holds many of the largest packets also of a slow line.
func (l link) queue() int64 {
	return int64(float64(l.bytesPerSecond()) * max(l.rtt, 50*time.Millisecond).Seconds())
}

// pacer says when a packet leaves the line. The zero value has carried none.
type pacer struct {
	link
	free time.Time // when the line has sent what it has taken
}

// arrival takes a packet of n bytes, and says when its last bit is at the other end. It is lost
// where too many wait.
func (p *pacer) arrival(now time.Time, n int) (at time.Time, lost bool) {
	begin := now
	if p.free.After(now) {
		begin = p.free
	}
	if waiting := begin.Sub(now).Seconds() * float64(p.bytesPerSecond()); int64(waiting) > p.queue() {
		return time.Time{}, true
	}
	p.free = begin.Add(time.Duration(float64(n) / float64(p.bytesPerSecond()) * float64(time.Second)))
	return p.free.Add(p.rtt / 2), false
}

// A packet is up to 64 KiB where segmentation is left to the device, and has a virtio header.
const mostPacket, packetHeader = 64<<10 + 256, 10

// packet is on its way.
type packet struct {
	buffer *[mostPacket]byte
	size   int
	due    time.Time
}

// carry takes packets from one end of the line to the other until an end is closed.
func (l link) carry(ctx context.Context, from io.Reader, to io.Writer) error {
	pool := sync.Pool{New: func() any { return new([mostPacket]byte) }}
	onTheWay := make(chan packet, 1<<14)
	delivered := make(chan error, 1)
	go func() { delivered <- deliver(to, onTheWay, &pool) }() // ends with the channel
	read := func() error {
		defer close(onTheWay)
		line := pacer{link: l}
		for {
			buffer := pool.Get().(*[mostPacket]byte)
			n, err := from.Read(buffer[:])
			if err != nil {
				return err
			}
			due, lost := line.arrival(time.Now(), max(n-packetHeader, 0))
			if lost {
				pool.Put(buffer)
				continue
			}
			select {
			case onTheWay <- packet{buffer, n, due}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	err := errors.Join(read(), <-delivered)
	if errors.Is(err, os.ErrClosed) {
		return nil // that is how it is ended
	}
	return err
}

// deliver writes each packet when it is due. One that the other end refuses is lost.
func deliver(to io.Writer, packets <-chan packet, pool *sync.Pool) error {
	var failed error
	for p := range packets {
		if early := time.Until(p.due); early > 0 {
			time.Sleep(early)
		}
		if failed == nil {
			if _, err := to.Write(p.buffer[:p.size]); errors.Is(err, os.ErrClosed) {
				failed = err
			}
		}
		pool.Put(p.buffer)
	}
	return failed
}
