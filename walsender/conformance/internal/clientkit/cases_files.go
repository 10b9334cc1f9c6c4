package conformance

import (
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func fileCases() []clientCase {
	return []clientCase{{
		Case:     Case{"FILES/001", "§4.6", Must, "Where a CopyData ends says nothing about the file: pieces of any size make up the whole."},
		scenario: scenario{slow: true, faults: always(walsendertest.Frames(7))},
		judge:    completes(),
	}, {
		Case:     Case{"FILES/002", "§4.6", Must, "A CopyData can hold 1 MiB."},
		scenario: scenario{sample: withFile("base/1/40000", 3<<20), faults: always(walsendertest.Frames(1 << 20))},
		judge:    completes(),
	}, {
		Case:     Case{"FILES/003", "§4.6", Must, "What is sent counts, and not what was listed: a file may have grown."},
		scenario: scenario{state: running, faults: always(walsendertest.GrownFile(relation, 8192))},
		judge:    completes(),
	}, {
		Case: Case{"FILES/004", "§5.2", Must, "A file that ends with an error has not arrived."},
		scenario: scenario{state: running, faults: func(at site) []walsendertest.Fault {
			return []walsendertest.Fault{walsendertest.ErrorInFile(relation, at.within(relationSize), ioError())}
		}},
		judge: refuses(),
	}, {
		Case:     Case{"FILES/005", "§5.2", Must, "An error after CopyDone is one, too: the file is whole at CommandComplete only."},
		scenario: scenario{state: running, faults: always(walsendertest.ErrorAfterCopyDone(relation, ioError()))},
		judge:    refuses(),
	}, {
		Case: Case{"FILES/006", "§5.2", Must, "A standby that is promoted in the middle is another cluster: 55000 is no excuse."},
		scenario: scenario{state: standby, faults: always(walsendertest.ErrorInFile(relation, 8192,
			protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the standby was promoted during online backup")))},
		judge: refuses(),
	}, {
		Case:     Case{"FILES/007", "§5.2", Must, "A standby whose promotion shows between two files is another cluster, too."},
		scenario: scenario{state: standby, faults: always(walsendertest.Promotion(relation))},
		judge:    refuses(),
	}, {
		Case: Case{"FILES/008", "§5.2", Must, "A file that may not be sent is missing all the same."},
		scenario: scenario{state: running, faults: always(walsendertest.FailCommand("SEND_FILE", 3,
			protocol.Errorf(protocol.CodeInsufficientPrivilege, "file is not part of a base backup")))},
		judge: refuses(),
	}}
}

// Excuses hold where WAL replay makes up for what is missing.
func excuseCases() []clientCase {
	gone := tolerance{missing: []string{relation}}
	return []clientCase{{
		Case:     Case{"EXCUSE/001", "§5.2", Must, "A relation that vanished during the backup was dropped: replay drops it again."},
		scenario: scenario{state: running, faults: always(walsendertest.Vanished(relation))},
		judge:    []check{succeeds, whole(gone)},
	}, {
		Case:     Case{"EXCUSE/002", "§5.2", Must, "Without a label there is no replay, and nothing may be missing."},
		scenario: scenario{faults: always(walsendertest.Vanished(relation))},
		judge:    refuses(),
	}, {
		Case:     Case{"EXCUSE/003", "§5.2", Must, "PG_VERSION never vanishes from a data directory."},
		scenario: scenario{state: running, faults: always(walsendertest.Vanished("PG_VERSION"))},
		judge:    refuses(),
	}, {
		Case:     Case{"EXCUSE/004", "§5.2", Must, "global/pg_control never vanishes: no server starts without it."},
		scenario: scenario{state: running, faults: always(walsendertest.Vanished(controlFile))},
		judge:    refuses(),
	}, {
		Case:     Case{"EXCUSE/005", "§5.2", Must, "global/pg_filenode.map never vanishes: no server finds its catalogs without it."},
		scenario: scenario{state: running, faults: always(walsendertest.Vanished(filenodeMap))},
		judge:    refuses(),
	}, {
		Case:     Case{"EXCUSE/006", "§5.2", Must, "A relation that was truncated is short: replay truncates it again."},
		scenario: scenario{state: running, faults: always(walsendertest.ShortFile(relation, 8192))},
		judge:    []check{succeeds, whole(tolerance{short: map[string]int64{relation: 8192}})},
	}, {
		Case:     Case{"EXCUSE/007", "§5.2", Must, "Without a label nothing may be short."},
		scenario: scenario{faults: always(walsendertest.ShortFile(relation, 8192))},
		judge:    refuses(),
	}, {
		Case:     Case{"EXCUSE/008", "§5.2", Must, "Only 58P01 says that a file is gone; one that cannot be read is still there."},
		scenario: scenario{state: running, faults: always(walsendertest.FailCommand("SEND_FILE", 5, ioError()))},
		judge:    refuses(),
	}, {
		Case:     Case{"EXCUSE/009", "§5.2", Must, "A file that vanished is not in the manifest."},
		scenario: scenario{state: running, faults: always(walsendertest.Vanished(relation))},
		judge:    []check{succeeds, manifestFits},
	}}
}
