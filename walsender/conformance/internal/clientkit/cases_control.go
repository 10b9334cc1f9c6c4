package conformance

import (
	"sync/atomic"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func controlCases() []clientCase {
	return []clientCase{{
		Case:     Case{"CONTROL/001", "§4.8", Must, "On a standby pg_control says where the backup is consistent: pages that are newer must not come after it."},
		scenario: scenario{state: standby},
		judge:    []check{succeeds, controlLast},
	}, {
		Case:     Case{"CONTROL/002", "§4.8", Must, "That another session is still at work on a file does not show at the others: it must be waited for."},
		scenario: scenario{state: standby, faults: always(walsendertest.Pause(relation, 8192, pauseShort))},
		judge:    []check{succeeds, controlLast},
	}, {
		Case:     Case{"CONTROL/003", "§5.2", Must, "Half of pg_control is none."},
		scenario: scenario{state: running, faults: always(walsendertest.ErrorInFile(controlFile, 4096, ioError()))},
		judge:    refuses(),
	}, {
		Case: Case{"CONTROL/004", "§4.6", Must, "A pg_control that the server does not send yet is asked for again, or the backup fails."},
		scenario: scenario{state: running, wrap: func(c *walsendertest.Cluster) walsender.Cluster {
			return busyControl{c, &atomic.Bool{}}
		}},
		judge: []check{wholeOrNothing},
	}, {
		Case:     Case{"CONTROL/005", "§5.2", Must, "A short pg_control is a damaged one, label or not."},
		scenario: scenario{state: running, faults: always(walsendertest.ShortFile(controlFile, 512))},
		judge:    refuses(),
	}}
}

func stopCases() []clientCase {
	return []clientCase{{
		Case:     Case{"STOP/001", "§5.1", Must, "What is sent after STOP_BACKUP is not covered by the WAL that the backup takes."},
		scenario: scenario{state: running, faults: always(walsendertest.Pause(controlFile, 0, pauseShort))},
		judge:    []check{succeeds, stopLast},
	}, {
		Case:     Case{"STOP/002", "§5.2", Must, "A backup that could not be stopped is none."},
		scenario: scenario{state: running, faults: always(walsendertest.StopFails(ioError()))},
		judge:    refuses(),
	}, {
		Case:     Case{"STOP/003", "§5.2", Must, "A backup whose leader is lost at STOP_BACKUP has no known end."},
		scenario: scenario{state: running, faults: always(walsendertest.CutCommand("STOP_BACKUP", 1))},
		judge:    refuses(),
	}, {
		Case:     Case{"STOP/004", "§5.7", Must, "A backup with damaged pages may be the best there is: it is written to its end."},
		scenario: scenario{state: running, faults: always(walsendertest.LateErrorAtStop(damaged()))},
		judge:    []check{whole(tolerance{}), manifestFits},
	}, {
		Case:     Case{"STOP/005", "§5.7", Must, "Nobody may take a backup with damaged pages for a good one: the exit status says it."},
		scenario: scenario{state: running, faults: always(walsendertest.LateErrorAtStop(damaged()))},
		judge:    []check{fails, givesReason},
	}, {
		Case:     Case{"STOP/006", "§5.2", Must, "An error other than XX001 after the row is a STOP_BACKUP that failed."},
		scenario: scenario{state: running, faults: always(walsendertest.LateErrorAtStop(ioError()))},
		judge:    refuses(),
	}, {
		Case:     Case{"STOP/007", "§4.3", Must, "XX001 without a row is a STOP_BACKUP that failed, too."},
		scenario: scenario{state: running, faults: always(walsendertest.StopFails(damaged()))},
		judge:    refuses(),
	}, {
		Case: Case{"STOP/008", "§5.7", Must, "A page that is really damaged comes with warnings, and ends in the same way."},
		scenario: scenario{state: running, sample: func(s *walsendertest.Sample, _ site) {
			s.DamagedPages = []walsendertest.DamagedPage{{Path: relation, Block: 2}}
		}},
		judge: []check{fails, whole(tolerance{})},
	}, {
		Case:  Case{"STOP/009", "§5.1", Should, "A client that takes the WAL itself need not wait for the archive."},
		judge: []check{succeeds, stopNoWait},
	}}
}

func damaged() *protocol.Error {
	return protocol.Errorf(protocol.CodeDataCorrupted, "checksum verification failure during base backup")
}
