package clientkit

import (
	"os"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func walCases() []Case {
	noSegment := protocol.Errorf(protocol.CodeUndefinedFile, "requested WAL segment 000000010000000000000002 has already been removed")
	newTimeline := func(s *walsendertest.Sample, _ site) { s.Timeline = 3 }
	return []Case{{
		Rule:     rule.Must("WAL/001", "§5.1", "The last WAL of a backup exists only when it is stopped."),
		scenario: scenario{state: running},
		checks:   []check{succeeds, walAfterStop},
	}, {
		Rule:     rule.Must("WAL/002", "§5.1", "A copy goes on writing into the segment that holds the end, and would recycle it unarchived if it had a .done file."),
		scenario: scenario{state: running},
		checks:   []check{succeeds, archived},
	}, {
		Rule:     rule.Must("WAL/003", "§5.1", "A server needs the history files to find its way to a timeline."),
		scenario: scenario{state: running, sample: newTimeline},
		checks:   with(completes(), archived),
	}, {
		Rule:     rule.Must("WAL/004", "§5.2", "WAL that the server has removed makes the backup worthless: 58P01 is no excuse here."),
		scenario: scenario{state: running, faults: always(walsendertest.Vanished(firstWAL))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("WAL/005", "§5.2", "WAL that cannot be listed, as a part of it is gone, makes the backup worthless."),
		scenario: scenario{state: running, faults: always(walsendertest.FailCommand("LIST_WAL_FILES", 1, noSegment))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("WAL/006", "§5.2", "A gap that the server does not notice is one all the same: the client knows which segments it needs."),
		scenario: scenario{state: running, faults: always(walsendertest.Unlisted(firstWAL))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("WAL/007", "§5.2", "A segment is never short."),
		scenario: scenario{state: running, faults: always(walsendertest.ShortFile(firstWAL, 512<<10))},
		checks:   refuses(),
	}, {
		Rule: rule.Must("WAL/008", "§5.5", "A worker that is lost in a segment never leads to a backup with half of it."),
		scenario: scenario{state: running, faults: func(at site) []walsendertest.Fault {
			return []walsendertest.Fault{walsendertest.CutFile(firstWAL, at.within(1<<20))}
		}},
		checks: []check{wholeOrNothing},
	}, {
		Rule:     rule.Must("WAL/009", "§5.2", "A segment that ends with an error, as one does that is recycled while it is sent, has not arrived."),
		scenario: scenario{state: running, faults: always(walsendertest.ErrorAfterCopyDone(firstWAL, noSegment))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("WAL/010", "§5.11", "A backup without label and without WAL could not start: the WAL is taken all the same, or the backup refused."),
		scenario: scenario{needs: []string{"{wal}"}, wal: "none"},
		checks:   []check{wholeOrNothing},
	}, {
		Rule:     rule.Must("WAL/011", "§5.9", "A WAL file lies in pg_wal, whatever the server says."),
		scenario: scenario{state: running, wrap: extraWAL(protocol.File{Path: relation})},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("WAL/012", "§5.9", "The name of a WAL file does not lead out of pg_wal."),
		scenario: scenario{state: running, wrap: extraWAL(protocol.File{Path: "pg_wal/../../evil"})},
		checks:   refuses(),
	}, {
		Rule: rule.Must("WAL/013", "§4.3", "A stopptr that is NULL means that nobody knows where the WAL ends: every segment is taken."),
		scenario: scenario{wrap: func(c *walsendertest.Cluster) walsender.Cluster {
			return otherEnds{Cluster: c, stop: func(s *protocol.BackupStop) { s.StopPtr = 0 }}
		}},
		checks: completes(),
	}, {
		Rule:     rule.Must("WAL/014", "§5.12", "WAL of another cluster, which has the same names, is not replayed, or damages the copy."),
		scenario: scenario{state: running, wrap: otherWAL(func(segment []byte) { segment[walSystemID] ^= 1 })},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("WAL/015", "§5.12", "A segment that was recycled has the right name and length, and an older segment's pages."),
		scenario: scenario{state: running, wrap: otherWAL(func(segment []byte) { segment[walPageAddress+2] ^= 0x30 })},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("WAL/016", "§5.12", "Replay ends at a record whose checksum is wrong, and the copy is never consistent."),
		scenario: scenario{state: running, wrap: otherWAL(func(segment []byte) { segment[walFirstRecord+30] ^= 1 })},
		checks:   refuses(),
	}}
}

// Places in the first segment (PostgreSQL's access/xlog_internal.h).
const (
	walPageAddress = 8
	walSystemID    = 24
	walFirstRecord = 40 // that of the checkpoint with which the backup begins
)

// otherWAL changes the content of the first segment.
func otherWAL(change func(segment []byte)) func(*walsendertest.Cluster) walsender.Cluster {
	return func(c *walsendertest.Cluster) walsender.Cluster { return alteredFile{c, firstWAL, change} }
}

// extraWAL lists a file as WAL.
func extraWAL(row protocol.File) func(*walsendertest.Cluster) walsender.Cluster {
	row.Type, row.Size, row.ModTime = protocol.TypeFile, 1<<20, time.Unix(0, 0)
	return func(c *walsendertest.Cluster) walsender.Cluster { return hostileWAL{c, row} }
}

func labelCases() []Case {
	return []Case{{
		Rule:   rule.Must("LABEL/001", "§4.3", "With a label a cluster that was shut down never starts: NULL means that none is written."),
		checks: completes(),
	}, {
		Rule:     rule.Must("LABEL/002", "§4.3", "The label that STOP_BACKUP returns is the one that counts, to the byte."),
		scenario: scenario{state: running},
		checks:   completes(),
	}, {
		Rule:     rule.Must("LABEL/003", "§5.1", "A label that lies there before STOP_BACKUP is one that nobody has vouched for."),
		scenario: scenario{state: running, hold: &holdPoint{stop: true}, signals: []os.Signal{os.Kill}},
		checks:   []check{wasKilled, noLabelYet},
	}, {
		Rule: rule.Must("LABEL/004", "§4.1", "START_BACKUP may not know the label yet, and what it knows may be old."),
		scenario: scenario{state: running, wrap: func(c *walsendertest.Cluster) walsender.Cluster {
			return otherEnds{Cluster: c, start: func(s *protocol.StartPoint) { s.Label = "" }}
		}},
		checks: completes(),
	}}
}
