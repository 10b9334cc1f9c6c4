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
func (b *Backup) Counters() Counters {
	return Counters{
		BytesSent:        b.counts.bytesSent.Load(),
		BytesTotal:       b.counts.bytesTotal.Load(),
		FilesSent:        b.counts.filesSent.Load(),
		SessionsJoined:   b.counts.sessionsJoined.Load(),
		SessionsLeft:     b.counts.sessionsLeft.Load(),
		ChecksumFailures: b.counts.checksumFailures.Load(),
		Throttled:        time.Duration(b.counts.throttled.Load()),
	}
}

// Leave counts a session that had joined as gone. Nothing else changes (§3.6):
// the files that it had begun are ended by their end functions.
func (b *Backup) Leave() { b.counts.sessionsLeft.Add(1) }

// SetTotal tells the size of the backup in bytes, as LIST_TABLESPACES PROGRESS or
// LIST_FILES found it.
func (b *Backup) SetTotal(bytes int64) { b.counts.bytesTotal.Store(bytes) }

// AddChecksumFailures counts n pages whose checksum was wrong. STOP_BACKUP ends
// with XX001 when there were any (§4.3).
func (b *Backup) AddChecksumFailures(n int) { b.counts.checksumFailures.Add(int64(n)) }

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
