package client

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/client/internal/walstream"
	"github.com/pgparallel/pgparallel/protocol"
)

// fakeStream is the walsender of a fake.
type fakeStream struct {
	systemID uint64                                 // another one than the fake's, where it is not 0
	slots    map[string]bool                        // those that exist, temporary ones aside
	end      protocol.LSN                           // up to where there is WAL
	switches map[protocol.Timeline]walstream.Branch // by timeline, where the next one leaves it
	// before is called before WAL is sent; it reports whether to go on.
	before func(s *fakeSession) bool
}

// withStream makes the fake one that streams, and its backup end in mid-segment.
func (f *fake) withStream() *fakeStream {
	f.stream = &fakeStream{slots: map[string]bool{}, end: 0x180000}
	f.stop.StopPtr = 0x180000
	return f.stream
}

// answer answers a command of replication, and reports whether all is said.
func (st *fakeStream) answer(s *fakeSession, word, command string) bool {
	name := ""
	if parts := strings.Split(command, `"`); len(parts) == 3 {
		name = parts[1]
	}
	columns := protocol.HistoryFileColumns()
	s.mu.Lock()
	there := st.slots[name]
	switch {
	case strings.Contains(command, "TEMPORARY"): // gone with the session
	case word == "CREATE_REPLICATION_SLOT":
		st.slots[name] = true
	case word == "DROP_REPLICATION_SLOT":
		delete(st.slots, name)
	}
	s.mu.Unlock()
	switch word {
	case "READ_REPLICATION_SLOT":
		kind := []byte("physical")
		if !there {
			kind = nil
		}
		s.sendRows(columns, protocol.Row{kind, nil, nil})
	case "CREATE_REPLICATION_SLOT":
		if there {
			s.fail(protocol.Errorf("42710", "replication slot %q already exists", name))
			return true
		}
		s.sendRows(columns, protocol.Row{[]byte(name), []byte("0/0"), nil, nil})
	case "DROP_REPLICATION_SLOT":
		if !there {
			s.fail(protocol.Errorf(protocol.CodeUndefinedObject, "replication slot %q does not exist", name))
			return true
		}
	case "START_REPLICATION":
		if name != "" && !there && !strings.HasPrefix(name, "pgparallel_") {
			s.fail(protocol.Errorf(protocol.CodeUndefinedObject, "replication slot %q does not exist", name))
			return true
		}
		st.play(s, command)
		return true
	}
	return false
}

// play streams a timeline.
func (st *fakeStream) play(s *fakeSession, command string) {
	var start protocol.LSN
	var tli protocol.Timeline
	fields := strings.Fields(command)
	start, _ = protocol.ParseLSN(fields[len(fields)-3])
	fmt.Sscan(fields[len(fields)-1], &tli)
	s.send(&pgproto3.CopyBothResponse{})
	if st.before != nil && !st.before(s) {
		return
	}
	next, historic := st.switches[tli]
	end := st.end
	if historic {
		end = next.Begin
	}
	for start < end {
		n := min(end-start, 100_000, fakeSegment-start%fakeSegment)
		content := s.wal[protocol.WALFileName(tli, start, fakeSegment)]
		s.sendWAL(start, content[start%fakeSegment:start%fakeSegment+n])
		start += n
	}
	if historic {
		s.send(&pgproto3.CopyDone{})
	}
	<-s.copyDone
	if !historic {
		s.send(&pgproto3.CopyDone{})
	} else {
		s.sendRows(protocol.HistoryFileColumns(), protocol.Row{fmt.Appendf(nil, "%d", next.Timeline), []byte(next.Begin.String())})
	}
	s.send(&pgproto3.CommandComplete{CommandTag: []byte("START_STREAMING")})
	s.complete()
}

func (s *fakeSession) sendWAL(start protocol.LSN, content string) {
	data := append([]byte{'w'}, make([]byte, 24)...)
	binary.BigEndian.PutUint64(data[1:], uint64(start))
	s.send(&pgproto3.CopyData{Data: append(data, content...)})
}

// sendKeepalive asks for a reply.
func (s *fakeSession) sendKeepalive() {
	data := append([]byte{'k'}, make([]byte, 17)...)
	data[17] = 1
	s.send(&pgproto3.CopyData{Data: data})
}
