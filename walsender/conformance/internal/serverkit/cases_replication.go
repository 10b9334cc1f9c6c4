package serverkit

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

func replicationCases() []Case {
	return []Case{
		{rule.Must("S-REPLICATION/001", "§4.9", "Every program of replication begins with IDENTIFY_SYSTEM and SHOW."), func(t *conversation) {
			p := t.session()
			p.playAll("IDENTIFY_SYSTEM", "SHOW no_such_parameter")
		}},
		{rule.Must("S-REPLICATION/002", "§4.9", "A timeline without a history is refused as a file that is not there."), func(t *conversation) {
			p := t.session()
			p.offered("TIMELINE_HISTORY 1")
			p.playAll("TIMELINE_HISTORY 1", "TIMELINE_HISTORY 4000000000", "TIMELINE_HISTORY 0")
		}},
		{rule.Must("S-REPLICATION/003", "§4.9", "A standby follows a timeline by its history file."), func(t *conversation) {
			p := t.session()
			p.locate()
			p.needsParent()
			p.play("TIMELINE_HISTORY {timeline}")
		}},
		{rule.Must("S-REPLICATION/004", "§9.2", "WAL is sent without a gap, up to its end; a keepalive comes when it is asked for; CopyDone of the client ends it."), func(t *conversation) {
			p := t.replication()
			p.locate()
			t.flows(p.play("START_REPLICATION {segment} TIMELINE {timeline}"), p.places.segment)
			t.flows(p.play("START_REPLICATION PHYSICAL {segment}"), p.places.segment)
		}},
		{rule.Must("S-REPLICATION/005", "§9.2", "Who asks for WAL that is gone is told so, within the copy."), func(t *conversation) {
			t.replication().playAll("START_REPLICATION 0/10", "IDENTIFY_SYSTEM")
		}},
		{rule.Must("S-REPLICATION/006", "§9.2", "A client that is ahead of the server has another history: that is an error, and nothing to wait for."), func(t *conversation) {
			t.replication().playAll("START_REPLICATION FFFFFFF0/0", "IDENTIFY_SYSTEM")
		}},
		{rule.Must("S-REPLICATION/007", "§9.2", "A timeline that never led here is refused, ahead of the copy."), func(t *conversation) {
			t.replication().playAll("START_REPLICATION 0/1000000 TIMELINE 4000000000", "IDENTIFY_SYSTEM")
		}},
		{rule.Must("S-REPLICATION/008", "§9.2", "An older timeline ends where it was left, and a row names the next one."), func(t *conversation) {
			p := t.replication()
			p.locate()
			p.needsParent()
			s := p.play("START_REPLICATION {before} TIMELINE {parent}")
			t.names(s, p.places)
			t.flows(s, p.places.before)
			t.names(p.play("START_REPLICATION {switched} TIMELINE {parent}"), p.places)
			p.play("START_REPLICATION FFFFFFF0/0 TIMELINE {parent}")
		}},
		{rule.Must("S-REPLICATION/009", "§9.2", "What is no START_REPLICATION is a mistake of the client, by its SQLSTATE."), func(t *conversation) {
			t.replication().playAll(
				"START_REPLICATION", "START_REPLICATION 0/X", "START_REPLICATION 0/1 TIMELINE 0", "START_REPLICATION 0/1 TIMELINE",
				"START_REPLICATION SLOT 0/1", "START_REPLICATION SLOT PHYSICAL 0/0", "START_REPLICATION SLOT  PHYSICAL 0/1000000", "START_REPLICATION 0/1 PHYSICAL")
		}},
		{rule.Must("S-REPLICATION/010", "§9.2", "Within the copy, a message that is none ends the connection."), func(t *conversation) {
			for _, body := range []string{"z", "r", ""} {
				p := t.replication()
				p.locate()
				p.playStream("START_REPLICATION {segment}", message('d', body))
			}
		}},
		{rule.Must("S-REPLICATION/011", "§9.2", "A client that breaks a copy off says so by CopyFail, and is not taken for one that is done."), func(t *conversation) {
			p := t.replication()
			p.locate()
			p.playStream("START_REPLICATION {segment}", message('f', "the kit gives it up\x00"))
		}},
	}
}

// replication is a session with a server that answers START_REPLICATION and the commands of
// slots.
func (t *conversation) replication() *peer {
	p := t.session()
	p.offered("DROP_REPLICATION_SLOT pgparallel_conformance_none")
	return p
}

// locate finds out where the server is in the WAL.
func (p *peer) locate() {
	system := p.done("IDENTIFY_SYSTEM")
	size, err := protocol.ParseWALSegmentSize(p.done("SHOW wal_segment_size").text(0))
	p.want(err == nil, "SHOW wal_segment_size: a size", "%v", err)
	end, err := protocol.ParseLSN(system.text(2))
	p.want(err == nil, "IDENTIFY_SYSTEM: a position", "%v", err)
	tli, err := strconv.ParseUint(system.text(1), 10, 32)
	p.want(err == nil, "IDENTIFY_SYSTEM: a timeline", "%v", err)
	if p.over() {
		return
	}
	p.places = places{end: end, segment: (end - 1) / protocol.LSN(size) * protocol.LSN(size), timeline: protocol.Timeline(tli)}
	if tli == 1 {
		return
	}
	for a, err := range protocol.Ancestors(p.done("TIMELINE_HISTORY %d", tli).text(1)) {
		if err != nil {
			p.fail("TIMELINE_HISTORY: lines of a history file", "%v", err)
			return
		}
		p.places.parent, p.places.switched = a.Timeline, a.End
	}
	p.places.before = (p.places.switched - 1) / protocol.LSN(size) * protocol.LSN(size)
	// The segment of a switch has the WAL of both timelines, and the newer one's name.
	p.places.segment = max(p.places.segment, p.places.switched)
}

// needsParent excuses a server whose cluster has been on one timeline only.
func (p *peer) needsParent() {
	if p.places.parent == 0 {
		p.excuse(rule.Excuse{NotRun: true, Reason: "needs a cluster on timeline 2 or a later one"})
	}
}

// flows wants a copy of WAL to have no gap, and messages of the form of PostgreSQL's.
func (t *conversation) flows(s *said, from protocol.LSN) {
	if t.over() || s.stream == nil {
		return
	}
	const page = 8192
	pieces := s.stream.pieces
	for i, piece := range pieces {
		begin, end := piece[0], piece[1]
		t.want(begin == from, fmt.Sprintf("WAL from %v on", from), "it is from %v on", begin)
		from = end
		t.want(end-begin <= wire.MaxWAL, "at most 128 KiB of WAL in a message", "%d bytes", end-begin)
		t.want(i == len(pieces)-1 || end%page == 0, "messages that end with a page, where there is more", "one ends at %v", end)
		if head := s.stream.pages[i]; begin%page == 0 && len(head) >= walAddress+8 {
			magic := binary.LittleEndian.Uint16(head[walMagic:])
			t.want(magic>>8 == 0xD1 || magic == 0 && i > 0, fmt.Sprintf("a WAL page at %v", begin), "the magic number %04X", magic)
			if magic == 0 {
				continue // behind the end of a segment that was switched are zeros
			}
			at := protocol.LSN(binary.LittleEndian.Uint64(head[walAddress:]))
			t.want(at == begin, fmt.Sprintf("the page of %v", begin), "that of %v", at)
		}
	}
}

// names wants the row of the timeline that comes next.
func (t *conversation) names(s *said, at places) {
	want := fmt.Sprintf("%d %v", at.timeline, at.switched)
	next, err := protocol.ParseLSN(s.text(1))
	got := fmt.Sprintf("%s %v", s.text(0), next)
	t.want(err == nil && got == want, "the next timeline, and where it begins: "+want, "%s, %v", got, err)
}
