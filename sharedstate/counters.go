package sharedstate

import (
	"sync/atomic"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// Counters are what an entry of the table counts, from its start on (§6.1).
type Counters struct {
	BytesSent        int64         // payload of SEND_FILE, WAL and repeated files included
	BytesTotal       int64         // size of the backup; 0 while nobody has sized it
	FilesSent        int64         // whole files, repeated ones included, WAL not
	SessionsJoined   int64         // all that ever joined; the leader is none of them
	SessionsLeft     int64         // those of them that have gone
	ChecksumFailures int64         // pages whose checksum was wrong
	Throttled        time.Duration // slept for the sake of MAX_RATE, summed over the sessions
}

// counts are the counters as they are counted. Some count once a frame, which is
// not worth the table's lock.
type counts struct {
	bytesSent, bytesTotal        atomic.Int64
	filesSent                    atomic.Int64
	sessionsJoined, sessionsLeft atomic.Int64
	checksumFailures             atomic.Int64
	throttled                    atomic.Int64 // nanoseconds
}

// Counters reads the counters, each for itself. They stay readable when the
// backup is over.
func (b *Backup) Counters() Counters { return b.counts.read() }

// Counters is what all backups of the table have counted together since it was made,
// those that are over included: nothing of it ever becomes less. BytesTotal is 0.
func (t *Table) Counters() Counters { return t.counts.read() }

func (c *counts) read() Counters {
	return Counters{
		BytesSent:        c.bytesSent.Load(),
		BytesTotal:       c.bytesTotal.Load(),
		FilesSent:        c.filesSent.Load(),
		SessionsJoined:   c.sessionsJoined.Load(),
		SessionsLeft:     c.sessionsLeft.Load(),
		ChecksumFailures: c.checksumFailures.Load(),
		Throttled:        time.Duration(c.throttled.Load()),
	}
}

// counted are the counts that what happens in the backup is added to: its own, and those
// of all backups together.
func (b *Backup) counted() [2]*counts { return [2]*counts{&b.counts, &b.table.counts} }

// Leave counts a session that had joined as gone. Nothing else changes (§3.6):
// the files that it had begun are ended by their end functions.
func (b *Backup) Leave() {
	for _, c := range b.counted() {
		c.sessionsLeft.Add(1)
	}
}

// SetTotal tells the size of the backup in bytes, as LIST_TABLESPACES PROGRESS or
// LIST_FILES found it.
func (b *Backup) SetTotal(bytes int64) { b.counts.bytesTotal.Store(bytes) }

// AddChecksumFailures counts n pages whose checksum was wrong. STOP_BACKUP ends
// with XX001 when there were any (§4.3).
func (b *Backup) AddChecksumFailures(n int) {
	for _, c := range b.counted() {
		c.checksumFailures.Add(int64(n))
	}
}

// Status is the backup as monitoring shows it. It stays readable when the backup is over,
// with the last state that it had.
func (b *Backup) Status() Status {
	b.table.mu.Lock()
	defer b.table.mu.Unlock()
	return b.status()
}

// status is called with the table's lock held.
func (b *Backup) status() Status {
	return Status{
		ID:         protocol.ShortID(b.ID),
		Owner:      b.Owner,
		Label:      b.Label,
		State:      b.state,
		Began:      b.Began,
		StartPtr:   b.StartPtr,
		Timeline:   b.Timeline,
		InRecovery: b.InRecovery,
		MaxRate:    b.throttle.maxRate(),
		Counters:   b.Counters(),
	}
}
