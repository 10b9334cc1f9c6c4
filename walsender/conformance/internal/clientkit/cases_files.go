package clientkit

import (
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func fileCases() []Case {
	return []Case{{
		Rule:     rule.Must("FILES/001", "§4.6", "Where a CopyData ends says nothing about the file: pieces of any size make up the whole."),
		scenario: scenario{Slow: true, faults: always(walsendertest.Frames(7))},
		checks:   completes(),
	}, {
		Rule:     rule.Must("FILES/002", "§4.6", "A CopyData can hold 1 MiB."),
		scenario: scenario{sample: withFile("base/1/40000", 3<<20), faults: always(walsendertest.Frames(1 << 20))},
		checks:   completes(),
	}, {
		Rule:     rule.Must("FILES/003", "§4.6", "What is sent counts, and not what was listed: a file may have grown."),
		scenario: scenario{state: running, faults: always(walsendertest.GrownFile(relation, 8192))},
		checks:   completes(),
	}, {
		Rule: rule.Must("FILES/004", "§5.2", "A file that ends with an error has not arrived."),
		scenario: scenario{state: running, faults: func(at site) []walsendertest.Fault {
			return []walsendertest.Fault{walsendertest.ErrorInFile(relation, at.within(relationSize), ioError())}
		}},
		checks: refuses(),
	}, {
		Rule:     rule.Must("FILES/005", "§5.2", "An error after CopyDone is one, too: the file is whole at CommandComplete only."),
		scenario: scenario{state: running, faults: always(walsendertest.ErrorAfterCopyDone(relation, ioError()))},
		checks:   refuses(),
	}, {
		Rule: rule.Must("FILES/006", "§5.2", "A standby that is promoted in the middle is another cluster: 55000 is no excuse."),
		scenario: scenario{state: standby, faults: always(walsendertest.ErrorInFile(relation, 8192,
			protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the standby was promoted during online backup")))},
		checks: refuses(),
	}, {
		Rule:     rule.Must("FILES/007", "§5.2", "A standby whose promotion shows between two files is another cluster, too."),
		scenario: scenario{state: standby, faults: always(walsendertest.Promotion(relation))},
		checks:   refuses(),
	}, {
		Rule: rule.Must("FILES/008", "§5.2", "A file that may not be sent is missing all the same."),
		scenario: scenario{state: running, faults: always(walsendertest.FailCommand("SEND_FILE", 3,
			protocol.Errorf(protocol.CodeInsufficientPrivilege, "file is not part of a base backup")))},
		checks: refuses(),
	}}
}

// Excuses hold where WAL replay makes up for what is missing.
func excuseCases() []Case {
	gone := tolerance{missing: []string{relation}}
	return []Case{{
		Rule:     rule.Must("EXCUSE/001", "§5.2", "A relation that vanished during the backup was dropped: replay drops it again."),
		scenario: scenario{state: running, faults: always(walsendertest.Vanished(relation))},
		checks:   []check{succeeds, whole(gone)},
	}, {
		Rule:     rule.Must("EXCUSE/002", "§5.2", "Without a label there is no replay, and nothing may be missing."),
		scenario: scenario{faults: always(walsendertest.Vanished(relation))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("EXCUSE/003", "§5.2", "PG_VERSION never vanishes from a data directory."),
		scenario: scenario{state: running, faults: always(walsendertest.Vanished("PG_VERSION"))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("EXCUSE/004", "§5.2", "global/pg_control never vanishes: no server starts without it."),
		scenario: scenario{state: running, faults: always(walsendertest.Vanished(controlFile))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("EXCUSE/005", "§5.2", "global/pg_filenode.map never vanishes: no server finds its catalogs without it."),
		scenario: scenario{state: running, faults: always(walsendertest.Vanished(filenodeMap))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("EXCUSE/006", "§5.2", "A relation that was truncated is short: replay truncates it again."),
		scenario: scenario{state: running, faults: always(walsendertest.ShortFile(relation, 8192))},
		checks:   []check{succeeds, whole(tolerance{short: map[string]int64{relation: 8192}})},
	}, {
		Rule:     rule.Must("EXCUSE/007", "§5.2", "Without a label nothing may be short."),
		scenario: scenario{faults: always(walsendertest.ShortFile(relation, 8192))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("EXCUSE/008", "§5.2", "Only 58P01 says that a file is gone; one that cannot be read is still there."),
		scenario: scenario{state: running, faults: always(walsendertest.FailCommand("SEND_FILE", 5, ioError()))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("EXCUSE/009", "§5.2", "A file that vanished is not in the manifest."),
		scenario: scenario{state: running, faults: always(walsendertest.Vanished(relation))},
		checks:   []check{succeeds, manifestFits},
	}}
}
