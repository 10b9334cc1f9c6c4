package conformance

import (
	"os"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func walCases() []clientCase {
	noSegment := protocol.Errorf(protocol.CodeUndefinedFile, "requested WAL segment 000000010000000000000002 has already been removed")
	newTimeline := func(s *walsendertest.Sample, _ site) { s.Timeline = 3 }
	return []clientCase{{
		Case:     Case{"WAL/001", "§5.1", Must, "The last WAL of a backup exists only when it is stopped."},
		scenario: scenario{state: running},
		judge:    []check{succeeds, walAfterStop},
	}, {
		Case:     Case{"WAL/002", "§5.1", Must, "A copy goes on writing into the segment that holds the end, and would recycle it unarchived if it had a .done file."},
		scenario: scenario{state: running},
		judge:    []check{succeeds, archived},
	}, {
		Case:     Case{"WAL/003", "§5.1", Must, "A server needs the history files to find its way to a timeline."},
		scenario: scenario{state: running, sample: newTimeline},
		judge:    with(completes(), archived),
	}, {
		Case:     Case{"WAL/004", "§5.2", Must, "WAL that the server has removed makes the backup worthless: 58P01 is no excuse here."},
		scenario: scenario{state: running, faults: always(walsendertest.Vanished(firstWAL))},
		judge:    refuses(),
	}, {
		Case:     Case{"WAL/005", "§5.2", Must, "WAL that cannot be listed, as a part of it is gone, makes the backup worthless."},
		scenario: scenario{state: running, faults: always(walsendertest.FailCommand("LIST_WAL_FILES", 1, noSegment))},
		judge:    refuses(),
	}, {
		Case:     Case{"WAL/006", "§5.2", Must, "A gap that the server does not notice is one all the same: the client knows which segments it needs."},
		scenario: scenario{state: running, faults: always(walsendertest.Unlisted(firstWAL))},
		judge:    refuses(),
	}, {
		Case:     Case{"WAL/007", "§5.2", Must, "A segment is never short."},
		scenario: scenario{state: running, faults: always(walsendertest.ShortFile(firstWAL, 512<<10))},
		judge:    refuses(),
	}, {
		Case: Case{"WAL/008", "§5.5", Must, "A worker that is lost in a segment never leads to a backup with half of it."},
		scenario: scenario{state: running, faults: func(at site) []walsendertest.Fault {
			return []walsendertest.Fault{walsendertest.CutFile(firstWAL, at.within(1<<20))}
		}},
		judge: []check{wholeOrNothing},
	}, {
		Case:     Case{"WAL/009", "§5.2", Must, "A segment that ends with an error, as one does that is recycled while it is sent, has not arrived."},
		scenario: scenario{state: running, faults: always(walsendertest.ErrorAfterCopyDone(firstWAL, noSegment))},
		judge:    refuses(),
	}, {
		Case:     Case{"WAL/010", "§5.11", Must, "A backup without label and without WAL could not start: the WAL is taken all the same, or the backup refused."},
		scenario: scenario{needs: []string{"{wal}"}, wal: "none"},
		judge:    []check{wholeOrNothing},
	}, {
		Case:     Case{"WAL/011", "§5.9", Must, "A WAL file lies in pg_wal, whatever the server says."},
		scenario: scenario{state: running, wrap: extraWAL(protocol.File{Path: relation})},
		judge:    refuses(),
	}, {
		Case:     Case{"WAL/012", "§5.9", Must, "The name of a WAL file does not lead out of pg_wal."},
		scenario: scenario{state: running, wrap: extraWAL(protocol.File{Path: "pg_wal/../../evil"})},
		judge:    refuses(),
	}, {
		Case: Case{"WAL/013", "§4.3", Must, "A stopptr that is NULL means that nobody knows where the WAL ends: every segment is taken."},
		scenario: scenario{wrap: func(c *walsendertest.Cluster) walsender.Cluster {
			return otherEnds{Cluster: c, stop: func(s *protocol.BackupStop) { s.StopPtr = 0 }}
		}},
		judge: completes(),
	}}
}

// extraWAL lists a file as WAL.
func extraWAL(row protocol.File) func(*walsendertest.Cluster) walsender.Cluster {
	row.Type, row.Size, row.ModTime = protocol.TypeFile, 1<<20, time.Unix(0, 0)
	return func(c *walsendertest.Cluster) walsender.Cluster { return hostileWAL{c, row} }
}

func labelCases() []clientCase {
	return []clientCase{{
		Case:  Case{"LABEL/001", "§4.3", Must, "With a label a cluster that was shut down never starts: NULL means that none is written."},
		judge: completes(),
	}, {
		Case:     Case{"LABEL/002", "§4.3", Must, "The label that STOP_BACKUP returns is the one that counts, to the byte."},
		scenario: scenario{state: running},
		judge:    completes(),
	}, {
		Case:     Case{"LABEL/003", "§5.1", Must, "A label that lies there before STOP_BACKUP is one that nobody has vouched for."},
		scenario: scenario{state: running, hold: &holdPoint{stop: true}, signals: []os.Signal{os.Kill}},
		judge:    []check{wasKilled, noLabelYet},
	}, {
		Case: Case{"LABEL/004", "§4.1", Must, "START_BACKUP may not know the label yet, and what it knows may be old."},
		scenario: scenario{state: running, wrap: func(c *walsendertest.Cluster) walsender.Cluster {
			return otherEnds{Cluster: c, start: func(s *protocol.BackupStart) { s.Label = "" }}
		}},
		judge: completes(),
	}}
}
