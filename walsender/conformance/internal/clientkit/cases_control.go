package clientkit

import (
	"sync/atomic"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func controlCases() []Case {
	return []Case{{
		Rule:     rule.Must("CONTROL/001", "§4.8", "On a standby pg_control says where the backup is consistent: pages that are newer must not come after it."),
		scenario: scenario{state: standby},
		checks:   []check{succeeds, controlLast},
	}, {
		Rule:     rule.Must("CONTROL/002", "§4.8", "That another session is still at work on a file does not show at the others: it must be waited for."),
		scenario: scenario{state: standby, faults: always(walsendertest.Pause(relation, 8192, pauseShort))},
		checks:   []check{succeeds, controlLast},
	}, {
		Rule:     rule.Must("CONTROL/003", "§5.2", "Half of pg_control is none."),
		scenario: scenario{state: running, faults: always(walsendertest.ErrorInFile(controlFile, 4096, ioError()))},
		checks:   refuses(),
	}, {
		Rule: rule.Must("CONTROL/004", "§4.6", "A pg_control that the server does not send yet is asked for again, or the backup fails."),
		scenario: scenario{state: running, wrap: func(c *walsendertest.Cluster) walsender.Cluster {
			return busyControl{c, &atomic.Bool{}}
		}},
		checks: []check{wholeOrNothing},
	}, {
		Rule:     rule.Must("CONTROL/005", "§5.2", "A short pg_control is a damaged one, label or not."),
		scenario: scenario{state: running, faults: always(walsendertest.ShortFile(controlFile, 512))},
		checks:   refuses(),
	}}
}

func stopCases() []Case {
	return []Case{{
		Rule:     rule.Must("STOP/001", "§5.1", "What is sent after STOP_BACKUP is not covered by the WAL that the backup takes."),
		scenario: scenario{state: running, faults: always(walsendertest.Pause(controlFile, 0, pauseShort))},
		checks:   []check{succeeds, stopLast},
	}, {
		Rule:     rule.Must("STOP/002", "§5.2", "A backup that could not be stopped is none."),
		scenario: scenario{state: running, faults: always(walsendertest.StopFails(ioError()))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("STOP/003", "§5.2", "A backup whose leader is lost at STOP_BACKUP has no known end."),
		scenario: scenario{state: running, faults: always(walsendertest.CutCommand("STOP_BACKUP", 1))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("STOP/004", "§5.7", "A backup with damaged pages may be the best there is: it is written to its end."),
		scenario: scenario{state: running, faults: always(walsendertest.LateErrorAtStop(damaged()))},
		checks:   []check{whole(tolerance{}), manifestFits},
	}, {
		Rule:     rule.Must("STOP/005", "§5.7", "Nobody may take a backup with damaged pages for a good one: the exit status says it."),
		scenario: scenario{state: running, faults: always(walsendertest.LateErrorAtStop(damaged()))},
		checks:   []check{fails, givesReason},
	}, {
		Rule:     rule.Must("STOP/006", "§5.2", "An error other than XX001 after the row is a STOP_BACKUP that failed."),
		scenario: scenario{state: running, faults: always(walsendertest.LateErrorAtStop(ioError()))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("STOP/007", "§4.3", "XX001 without a row is a STOP_BACKUP that failed, too."),
		scenario: scenario{state: running, faults: always(walsendertest.StopFails(damaged()))},
		checks:   refuses(),
	}, {
		Rule: rule.Must("STOP/008", "§5.7", "A page that is really damaged comes with warnings, and ends in the same way."),
		scenario: scenario{state: running, sample: func(s *walsendertest.Sample, _ site) {
			s.DamagedPages = []walsendertest.DamagedPage{{Path: relation, Block: 2}}
		}},
		checks: []check{fails, whole(tolerance{})},
	}, {
		Rule:   rule.Should("STOP/009", "§5.1", "A client that takes the WAL itself need not wait for the archive."),
		checks: []check{succeeds, stopNoWait},
	}}
}

func damaged() *protocol.Error {
	return protocol.Errorf(protocol.CodeDataCorrupted, "checksum verification failure during base backup")
}
