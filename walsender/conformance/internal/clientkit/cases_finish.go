package clientkit

import (
	"os"

	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func finishCases() []Case {
	return []Case{{
		Rule:     rule.Must("FINISH/001", "§5.6", "In the end pg_control has its own name, and PostgreSQL starts."),
		scenario: scenario{state: running},
		checks:   completes(),
	}, {
		Rule:     rule.Must("FINISH/002", "§5.1", "The manifest tells what the backup holds, so that damage is found later."),
		scenario: scenario{state: running},
		checks:   []check{succeeds, manifestFits},
	}, {
		Rule:     rule.Must("FINISH/003", "§5.1", "The manifest tells which WAL the backup needs."),
		scenario: scenario{state: running},
		checks:   []check{succeeds, manifestRange},
	}, {
		Rule:     rule.Must("FINISH/004", "§5.1", "From PostgreSQL 17 on the manifest names the cluster."),
		scenario: scenario{state: running, sample: func(s *walsendertest.Sample, _ site) { s.Version = 17 }},
		checks:   []check{succeeds, manifestFits, manifestSystem},
	}, {
		Rule:     rule.Must("FINISH/005", "§5.1", "A directory without files is part of the cluster: PostgreSQL does not start without pg_notify."),
		scenario: scenario{state: standby},
		checks:   completes(),
	}, {
		Rule:     rule.Must("FINISH/006", "§5.6", "With pg_control in its place and no label, PostgreSQL starts without a word, and committed transactions are missing."),
		scenario: scenario{state: running, watch: true},
		checks:   []check{succeeds, releasedLast},
	}, {
		Rule:     rule.Must("FINISH/007", "§5.6", "A manifest says that the backup is complete: it comes after all else."),
		scenario: scenario{state: running, watch: true},
		checks:   []check{succeeds, manifestLast},
	}}
}

func killCases() []Case {
	at := func(point holdPoint) scenario {
		return scenario{state: running, hold: &point, signals: []os.Signal{os.Kill}}
	}
	refusing := []check{wasKilled, cannotStart, noManifestYet}
	return []Case{{
		Rule:     rule.Must("KILL/001", "§5.6", "PostgreSQL must refuse what is left of a client that is killed while it copies files."),
		scenario: at(holdPoint{open: relation}),
		checks:   refusing,
	}, {
		Rule:     rule.Must("KILL/002", "§5.6", "PostgreSQL must refuse it when pg_control has arrived, and the backup is not stopped."),
		scenario: at(holdPoint{stop: true}),
		checks:   refusing,
	}, {
		Rule:     rule.Must("KILL/003", "§5.6", "PostgreSQL must refuse it when all files are there, and the WAL is still to come."),
		scenario: at(holdPoint{wal: true}),
		checks:   refusing,
	}, {
		Rule:     rule.Must("KILL/004", "§5.6", "PostgreSQL must refuse it in the middle of the WAL."),
		scenario: at(holdPoint{open: firstWAL}),
		checks:   refusing,
	}, {
		Rule:     rule.Must("KILL/005", "§5.6", "PostgreSQL must refuse it without a label, too, where it would start at once, and miss transactions."),
		scenario: scenario{hold: &holdPoint{open: firstWAL}, signals: []os.Signal{os.Kill}},
		checks:   refusing,
	}, {
		Rule:     rule.Must("KILL/006", "§5.6", "In the moment in which pg_control gets its name, PostgreSQL can start: all else has to be there."),
		scenario: scenario{state: running, watch: true, signals: []os.Signal{os.Kill}},
		checks:   []check{startsWhole},
	}}
}
