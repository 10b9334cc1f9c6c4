package conformance

import (
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func connectCases() []clientCase {
	return []clientCase{{
		Case:  Case{"CONNECT/001", "§5.1", Must, "A backup of a cluster that was shut down, with nothing going wrong, is the least that a client does."},
		judge: completes(),
	}, {
		Case:     Case{"CONNECT/002", "§5.1", Must, "A cluster that runs is backed up too, with the label that comes with it."},
		scenario: scenario{state: running},
		judge:    completes(),
	}, {
		Case:     Case{"CONNECT/003", "§5.1", Must, "A standby is backed up like a primary."},
		scenario: scenario{state: standby},
		judge:    completes(),
	}, {
		Case:     Case{"CONNECT/004", "§1.5", Must, "ParameterStatus can come at any time, with parameters that later servers have."},
		scenario: scenario{faults: always(walsendertest.UnknownParameter())},
		judge:    completes(),
	}, {
		Case:     Case{"CONNECT/005", "§4.1", Must, "Notices can come at any time, and are no errors."},
		scenario: scenario{faults: always(walsendertest.Notices())},
		judge:    completes(),
	}, {
		Case:     Case{"CONNECT/006", "§5.4", Must, "A worker that is refused for want of max_wal_senders fails the backup, and never crashes the client."},
		scenario: scenario{faults: always(walsendertest.RefuseConnection(2, walsendertest.TooManySenders))},
		judge:    refuses(),
	}, {
		Case:     Case{"CONNECT/007", "§5.4", Must, "A worker whose connection is closed without a word fails the backup, and never crashes the client."},
		scenario: scenario{faults: always(walsendertest.RefuseConnection(3, walsendertest.PlainClose))},
		judge:    refuses(),
	}, {
		Case:     Case{"CONNECT/008", "§5.3", Must, "A server that is still starting up is a failure like any other."},
		scenario: scenario{faults: always(walsendertest.RefuseConnection(1, walsendertest.StartingUp))},
		judge:    refuses(),
	}, {
		Case:     Case{"CONNECT/009", "§5.3", Must, "A server that breaks off in the middle of the startup is a failure like any other."},
		scenario: scenario{faults: always(walsendertest.CutAfter(1, 40))},
		judge:    refuses(),
	}, {
		Case:     Case{"CONNECT/010", "§7.2", Should, "A server that is throttled says nothing for a while, and is not gone."},
		scenario: scenario{slow: true, faults: always(walsendertest.Pause(relation, 8192, pauseLong))},
		judge:    completes(),
	}}
}
