package conformance

import (
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func retryCases() []clientCase {
	return []clientCase{{
		Case: Case{"RETRY/001", "§5.5", Must, "A worker that is lost in a file never leads to a backup with half of it."},
		scenario: scenario{state: running, faults: func(at site) []walsendertest.Fault {
			return []walsendertest.Fault{walsendertest.Frames(8192), walsendertest.CutFile(relation, at.within(relationSize))}
		}},
		judge: []check{wholeOrNothing},
	}, {
		Case:     Case{"RETRY/002", "§5.5", Should, "The file is sent again over another session: hours of copying are not lost with one connection."},
		scenario: scenario{state: running, faults: always(walsendertest.Frames(8192), walsendertest.CutFile(relation, 8192))},
		judge:    with(completes(), againElsewhere(relation)),
	}, {
		Case: Case{"RETRY/003", "§5.5", Must, "A reset takes away what was not read yet, errors included."},
		scenario: scenario{state: running, faults: func(at site) []walsendertest.Fault {
			return []walsendertest.Fault{walsendertest.Frames(8192), walsendertest.ResetFile(relation, at.within(relationSize))}
		}},
		judge: []check{wholeOrNothing},
	}, {
		Case:     Case{"RETRY/004", "§5.5", Must, "A connection that ends where CopyDone should be leaves a file that only looks whole."},
		scenario: scenario{state: running, faults: always(walsendertest.EOFWithoutCopyDone(relation).Times(0))},
		judge:    refuses(),
	}, {
		Case:     Case{"RETRY/005", "§5.5", Must, "A file that loses every connection is given up: it is sent again at most 3 times."},
		scenario: scenario{state: running, faults: always(walsendertest.CutFile(relation, 8192).Times(0))},
		judge:    with(refuses(), attempts(relation, 4)),
	}, {
		Case:     Case{"RETRY/006", "§5.5", Must, "A session that the administrator ends in a file is a lost worker."},
		scenario: scenario{state: running, faults: always(walsendertest.ErrorInFile(relation, 8192, shutdown()))},
		judge:    []check{wholeOrNothing},
	}, {
		Case:     Case{"RETRY/007", "§3.5", Must, "Without its leader the backup is over, however many workers are left."},
		scenario: scenario{state: running, sample: withFile("base/1/40000", 4<<20), faults: always(walsendertest.LeaderLost("base/1/40000", 1<<20))},
		judge:    refuses(),
	}, {
		Case:     Case{"RETRY/008", "§5.5", Must, "What is left of the first attempt is no part of the file."},
		scenario: scenario{state: running, faults: always(walsendertest.Frames(8192), walsendertest.CutFile(relation, relationSize-1))},
		judge:    []check{wholeOrNothing},
	}}
}
