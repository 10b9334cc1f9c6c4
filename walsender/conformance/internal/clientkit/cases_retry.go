package clientkit

import (
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func retryCases() []Case {
	return []Case{{
		Rule: rule.Must("RETRY/001", "§5.5", "A worker that is lost in a file never leads to a backup with half of it."),
		scenario: scenario{state: running, faults: func(at site) []walsendertest.Fault {
			return []walsendertest.Fault{walsendertest.Frames(8192), walsendertest.CutFile(relation, at.within(relationSize))}
		}},
		checks: []check{wholeOrNothing},
	}, {
		Rule:     rule.Should("RETRY/002", "§5.5", "The file is sent again over another session: hours of copying are not lost with one connection."),
		scenario: scenario{state: running, faults: always(walsendertest.Frames(8192), walsendertest.CutFile(relation, 8192))},
		checks:   with(completes(), againElsewhere(relation)),
	}, {
		Rule: rule.Must("RETRY/003", "§5.5", "A reset takes away what was not read yet, errors included."),
		scenario: scenario{state: running, faults: func(at site) []walsendertest.Fault {
			return []walsendertest.Fault{walsendertest.Frames(8192), walsendertest.ResetFile(relation, at.within(relationSize))}
		}},
		checks: []check{wholeOrNothing},
	}, {
		Rule:     rule.Must("RETRY/004", "§5.5", "A connection that ends where CopyDone should be leaves a file that only looks whole."),
		scenario: scenario{state: running, faults: always(walsendertest.EOFWithoutCopyDone(relation).Times(0))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("RETRY/005", "§5.5", "A file that loses every connection is given up: it is sent again at most 3 times."),
		scenario: scenario{state: running, faults: always(walsendertest.CutFile(relation, 8192).Times(0))},
		checks:   with(refuses(), attempts(relation, 4)),
	}, {
		Rule:     rule.Must("RETRY/006", "§5.5", "A session that the administrator ends in a file is a lost worker."),
		scenario: scenario{state: running, faults: always(walsendertest.ErrorInFile(relation, 8192, shutdown()))},
		checks:   []check{wholeOrNothing},
	}, {
		Rule:     rule.Must("RETRY/007", "§3.5", "Without its leader the backup is over, however many workers are left."),
		scenario: scenario{state: running, sample: withFile("base/1/40000", 4<<20), faults: always(walsendertest.LeaderLost("base/1/40000", 1<<20))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("RETRY/008", "§5.5", "What is left of the first attempt is no part of the file."),
		scenario: scenario{state: running, faults: always(walsendertest.Frames(8192), walsendertest.CutFile(relation, relationSize-1))},
		checks:   []check{wholeOrNothing},
	}}
}
