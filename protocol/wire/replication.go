package wire

import (
	"encoding/binary"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// The messages within the copy of START_REPLICATION (§9.2), each the payload of a CopyData,
// by their first byte: Streaming Replication Protocol in PostgreSQL's documentation.
const (
	KindWAL                = 'w' // to the client: WAL
	KindKeepalive          = 'k' // to the client: it is still connected
	KindStandbyStatus      = 'r' // to the server: what has arrived
	KindHotStandbyFeedback = 'h' // to the server: what queries of a standby need
)

const (
	// WALHeader is the length of what is ahead of the WAL in its message, in bytes.
	WALHeader = 1 + 3*8
	// MaxWAL is how much WAL PostgreSQL puts into a message at most, in bytes
	// (MAX_SEND_SIZE in walsender.c).
	MaxWAL = 128 << 10

	standbyStatusLength = 4*8 + 1
	feedbackLength      = 8 + 4*4
)

// postgresEpoch is where PostgreSQL's time begins.
var postgresEpoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// AppendWALHeader appends what is ahead of WAL that begins at start, sent when the WAL that
// can be had ends at end.
func AppendWALHeader(to []byte, start, end protocol.LSN, now time.Time) []byte {
	to = append(to, KindWAL)
	to = binary.BigEndian.AppendUint64(to, uint64(start))
	to = binary.BigEndian.AppendUint64(to, uint64(end))
	return appendTime(to, now)
}

// AppendKeepalive appends a keepalive: how far the WAL has been sent, and whether the peer
// is to answer at once.
func AppendKeepalive(to []byte, sent protocol.LSN, now time.Time, reply bool) []byte {
	to = append(to, KindKeepalive)
	to = binary.BigEndian.AppendUint64(to, uint64(sent))
	to = appendTime(to, now)
	if reply {
		return append(to, 1)
	}
	return append(to, 0)
}

func appendTime(to []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(to, uint64(t.Sub(postgresEpoch).Microseconds()))
}

// StandbyStatus is what a peer says of the WAL that it was sent: up to where it was written,
// flushed and applied.
type StandbyStatus struct {
	Written, Flushed, Applied protocol.LSN // 0: unknown
	Reply                     bool         // a keepalive is to be sent at once
}

// DecodeStandbyMessage decodes the payload of a CopyData that a peer sends while WAL is
// streamed. Feedback of a hot standby is looked at for its length only, and gives nil: of a
// cluster that does not run, nothing is removed that a query may need. The error is an
// 08P01, for a message of no known type a FATAL one, as from PostgreSQL.
func DecodeStandbyMessage(b []byte) (*StandbyStatus, error) {
	if len(b) == 0 {
		return nil, protocol.Errorf(protocol.CodeProtocolViolation, "no data left in message")
	}
	body, length := b[1:], 0
	switch b[0] {
	case KindStandbyStatus:
		length = standbyStatusLength
	case KindHotStandbyFeedback:
		length = feedbackLength
	default:
		return nil, protocol.Fatalf(protocol.CodeProtocolViolation, "unexpected message type %q", string(rune(b[0])))
	}
	if len(body) < length {
		return nil, protocol.Errorf(protocol.CodeProtocolViolation, "insufficient data left in message")
	}
	if b[0] == KindHotStandbyFeedback {
		return nil, nil
	}
	position := func(at int) protocol.LSN { return protocol.LSN(binary.BigEndian.Uint64(body[at:])) }
	return &StandbyStatus{Written: position(0), Flushed: position(8), Applied: position(16), Reply: body[32] != 0}, nil
}
