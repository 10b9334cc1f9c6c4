package clientkit

import (
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func connectCases() []Case {
	return []Case{{
		Rule:   rule.Must("CONNECT/001", "§5.1", "A backup of a cluster that was shut down, with nothing going wrong, is the least that a client does."),
		checks: completes(),
	}, {
		Rule:     rule.Must("CONNECT/002", "§5.1", "A cluster that runs is backed up too, with the label that comes with it."),
		scenario: scenario{state: running},
		checks:   completes(),
	}, {
		Rule:     rule.Must("CONNECT/003", "§5.1", "A standby is backed up like a primary."),
		scenario: scenario{state: standby},
		checks:   completes(),
	}, {
		Rule:     rule.Must("CONNECT/004", "§1.5", "ParameterStatus can come at any time, with parameters that later servers have."),
		scenario: scenario{faults: always(walsendertest.UnknownParameter())},
		checks:   completes(),
	}, {
		Rule:     rule.Must("CONNECT/005", "§4.1", "Notices can come at any time, and are no errors."),
		scenario: scenario{faults: always(walsendertest.Notices())},
		checks:   completes(),
	}, {
		Rule:     rule.Must("CONNECT/006", "§5.4", "A worker that is refused for want of max_wal_senders fails the backup, and never crashes the client."),
		scenario: scenario{needs: several(), faults: always(walsendertest.RefuseConnection(2, walsendertest.TooManySenders))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("CONNECT/007", "§5.4", "A worker whose connection is closed without a word fails the backup, and never crashes the client."),
		scenario: scenario{needs: several(), faults: always(walsendertest.RefuseConnection(3, walsendertest.PlainClose))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("CONNECT/008", "§5.3", "A server that is still starting up is a failure like any other."),
		scenario: scenario{faults: always(walsendertest.RefuseConnection(1, walsendertest.StartingUp))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("CONNECT/009", "§5.3", "A server that breaks off in the middle of the startup is a failure like any other."),
		scenario: scenario{faults: always(walsendertest.CutAfter(1, 40))},
		checks:   refuses(),
	}, {
		Rule:     rule.Should("CONNECT/010", "§7.2", "A server that is throttled says nothing for a while, and is not gone."),
		scenario: scenario{Slow: true, faults: always(walsendertest.Pause(relation, 8192, pauseLong))},
		checks:   completes(),
	}, {
		Rule:     rule.Must("CONNECT/011", "§8.1", "Extensions that a client does not know are none of its business."),
		scenario: scenario{faults: always(walsendertest.Announced("antigravity,zeal"))},
		checks:   completes(),
	}, {
		Rule:     rule.Must("CONNECT/012", "§8.1", "A server that announces no extension has none: a client uses nothing else than version 1."),
		scenario: scenario{faults: always(walsendertest.Announced(""))},
		checks:   with(completes(), usesNone),
	}, {
		Rule:     rule.Must("CONNECT/013", "§8.4", "A server that gives descriptors sends any file as a COPY when it likes."),
		scenario: scenario{faults: always(walsendertest.Announced("descriptors"))},
		checks:   completes(),
	}}
}
