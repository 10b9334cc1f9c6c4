package walsendertest

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender"
)

// KeepaliveSilence keeps back every keepalive of START_REPLICATION (§9.2), those included
// that a client asked for: once it has all WAL, it hears nothing more. The server goes on to
// wait for its reports, and ends the connection without one.
func KeepaliveSilence() Fault {
	return always("KeepaliveSilence()", func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			if m.streams(wire.KindKeepalive) && f.happens(s) {
				return nil
			}
			return next(m)
		}
	})
}

// SlotGone has the replication slot dropped by somebody else: START_REPLICATION and
// DROP_REPLICATION_SLOT that name it are 42704, and READ_REPLICATION_SLOT finds none (§9.2).
func SlotGone(name string) Fault {
	failure := protocol.Errorf(protocol.CodeUndefinedObject, "replication slot \"%s\" does not exist", name)
	return always(fmt.Sprintf("SlotGone(%q)", name), func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			reads, ok := m.asksForSlot(name)
			switch {
			case !ok:
			case reads && m.kind == 'D' && f.happens(s):
				return next(m.say(wire.DataRow(protocol.NoSlotRow())))
			case !reads && m.answer.messages == 0 && f.happens(s):
				return m.fail(failure, next)
			}
			return next(m)
		}
	})
}

// TimelineSwitch has the cluster on the timeline before its own, until a START_REPLICATION
// has sent all WAL of that. Then the server is on the new one, and tells so in the stream, as
// a standby does that is promoted, or follows a primary that was (§9.2): CopyDone comes where
// the first keepalive would, and at the end the row of the next timeline. What is in question
// is which timeline IDENTIFY_SYSTEM tells, and START_REPLICATION and TIMELINE_HISTORY know;
// backups are those of the cluster as it is. A cluster on timeline 1 has no such fault: a
// [Sample] needs a Timeline.
func TimelineSwitch() Fault {
	return Fault{
		text: "TimelineSwitch()", times: 1,
		cluster: func(l layer, f *armedFault) walsender.Cluster { return beforeSwitch{l, f} },
		tap: func(s *session, f *armedFault) tap {
			var in timelineEnd
			return func(m message, next sender) error { return in.pass(s, f, m, next) }
		},
	}
}

// beforeSwitch is the cluster as it was before its last timeline began.
type beforeSwitch struct {
	layer
	fault *armedFault
}

// Identify tells of the timeline before, until the switch.
func (b beforeSwitch) Identify(ctx context.Context) (protocol.System, error) {
	parent, system, err := lastSwitch(ctx, b.layer)
	if err == nil && parent.Timeline != 0 && !b.fault.happened() {
		system.Timeline, system.XLogPos = parent.Timeline, parent.End
	}
	return system, err
}

// TimelineHistory knows nothing of the last timeline, until the switch.
func (b beforeSwitch) TimelineHistory(ctx context.Context, tli protocol.Timeline) (protocol.HistoryFile, error) {
	parent, system, err := lastSwitch(ctx, b.layer)
	if err == nil && parent.Timeline != 0 && tli == system.Timeline && !b.fault.happened() {
		return protocol.HistoryFile{}, gone("pg_wal/" + protocol.HistoryFileName(tli))
	}
	return b.layer.TimelineHistory(ctx, tli)
}

// timelineEnd ends the copy of a START_REPLICATION, as of a timeline that was left.
type timelineEnd struct {
	answer *answer // whose copy was ended
}

func (e *timelineEnd) pass(s *session, f *armedFault, m message, next sender) error {
	switch {
	case m.streams(wire.KindKeepalive) && e.answer != m.answer && s.server.hadSwitch() && f.happens(s):
		e.answer = m.answer
		return next(m.say(&pgproto3.CopyDone{}))
	case e.answer == nil || e.answer != m.answer:
		return next(m)
	case m.kind == 'E':
		e.answer = nil
		return next(m)
	case m.kind == 'C' && string(m.body) == "START_STREAMING\x00":
		e.answer = nil
		if err := e.row(s, m, next); err != nil {
			return err
		}
		return next(m)
	}
	return nil // what the server says, which does not know that the copy has ended
}

// row says which timeline comes next, and where it begins.
func (e *timelineEnd) row(s *session, m message, next sender) error {
	ctx := context.Background() // whatever the cluster asks is answered at once
	settings, err := s.server.Config.Cluster.Settings(ctx)
	if err != nil {
		return err
	}
	parent, system, err := lastSwitch(ctx, layer{s.server.Cluster})
	if err != nil {
		return err
	}
	if err := next(m.say(wire.RowDescription(protocol.NextTimelineColumns()...))); err != nil {
		return err
	}
	return next(m.say(wire.DataRow(protocol.NextTimelineRow(system.Timeline, parent.End, settings.ServerVersionNum/10000))))
}

// hadSwitch reports whether the cluster was on another timeline once.
func (s *Server) hadSwitch() bool {
	parent, _, err := lastSwitch(context.Background(), layer{s.Cluster})
	return err == nil && parent.Timeline != 0
}

// lastSwitch is which cluster it is, and the timeline before its own with where that was
// left; timeline 0 where there is none.
func lastSwitch(ctx context.Context, l layer) (parent protocol.Ancestor, system protocol.System, err error) {
	if system, err = l.Identify(ctx); err != nil || system.Timeline == 1 {
		return parent, system, err
	}
	file, err := l.TimelineHistory(ctx, system.Timeline)
	if err != nil {
		return parent, system, err
	}
	for a, err := range protocol.Ancestors(string(file.Content)) {
		if err == nil {
			parent = a
		}
	}
	return parent, system, nil
}

// streams reports whether the message is one of START_REPLICATION's copy, and of the kind.
func (m message) streams(kind byte) bool {
	return m.answer.verb == "START_REPLICATION" && m.kind == 'd' && len(m.body) > 0 && m.body[0] == kind
}

// asksForSlot reports whether the command names the slot, and whether it only reads it.
func (m message) asksForSlot(name string) (reads, ok bool) {
	switch m.answer.verb {
	case "START_REPLICATION", "DROP_REPLICATION_SLOT", "READ_REPLICATION_SLOT":
	default:
		return false, false
	}
	command, err := grammar.Parse(m.answer.command)
	if err != nil {
		return false, false
	}
	switch c := command.(type) {
	case grammar.StartReplication:
		return false, c.Slot == name
	case grammar.DropReplicationSlot:
		return false, c.Name == name
	case grammar.ReadReplicationSlot:
		return true, c.Name == name
	}
	return false, false
}
