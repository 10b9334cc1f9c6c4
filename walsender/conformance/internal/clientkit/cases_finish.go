package conformance

import (
	"os"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func finishCases() []clientCase {
	return []clientCase{{
		Case:     Case{"FINISH/001", "§5.6", Must, "In the end pg_control has its own name, and PostgreSQL starts."},
		scenario: scenario{state: running},
		judge:    completes(),
	}, {
		Case:     Case{"FINISH/002", "§5.1", Must, "The manifest tells what the backup holds, so that damage is found later."},
		scenario: scenario{state: running},
		judge:    []check{succeeds, manifestFits},
	}, {
		Case:     Case{"FINISH/003", "§5.1", Must, "The manifest tells which WAL the backup needs."},
		scenario: scenario{state: running},
		judge:    []check{succeeds, manifestRange},
	}, {
		Case:     Case{"FINISH/004", "§5.1", Must, "From PostgreSQL 17 on the manifest names the cluster."},
		scenario: scenario{state: running, sample: func(s *walsendertest.Sample, _ site) { s.Version = 17 }},
		judge:    []check{succeeds, manifestFits, manifestSystem},
	}, {
		Case:     Case{"FINISH/005", "§5.1", Must, "A directory without files is part of the cluster: PostgreSQL does not start without pg_notify."},
		scenario: scenario{state: standby},
		judge:    completes(),
	}, {
		Case:     Case{"FINISH/006", "§5.6", Must, "With pg_control in its place and no label, PostgreSQL starts without a word, and committed transactions are missing."},
		scenario: scenario{state: running, watch: true},
		judge:    []check{succeeds, releasedLast},
	}, {
		Case:     Case{"FINISH/007", "§5.6", Must, "A manifest says that the backup is complete: it comes after all else."},
		scenario: scenario{state: running, watch: true},
		judge:    []check{succeeds, manifestLast},
	}}
}

func killCases() []clientCase {
	at := func(point holdPoint) scenario {
		return scenario{state: running, hold: &point, signals: []os.Signal{os.Kill}}
	}
	refusing := []check{wasKilled, cannotStart, noManifestYet}
	return []clientCase{{
		Case:     Case{"KILL/001", "§5.6", Must, "PostgreSQL must refuse what is left of a client that is killed while it copies files."},
		scenario: at(holdPoint{open: relation}),
		judge:    refusing,
	}, {
		Case:     Case{"KILL/002", "§5.6", Must, "PostgreSQL must refuse it when pg_control has arrived, and the backup is not stopped."},
		scenario: at(holdPoint{stop: true}),
		judge:    refusing,
	}, {
		Case:     Case{"KILL/003", "§5.6", Must, "PostgreSQL must refuse it when all files are there, and the WAL is still to come."},
		scenario: at(holdPoint{wal: true}),
		judge:    refusing,
	}, {
		Case:     Case{"KILL/004", "§5.6", Must, "PostgreSQL must refuse it in the middle of the WAL."},
		scenario: at(holdPoint{open: firstWAL}),
		judge:    refusing,
	}, {
		Case:     Case{"KILL/005", "§5.6", Must, "PostgreSQL must refuse it without a label, too, where it would start at once, and miss transactions."},
		scenario: scenario{hold: &holdPoint{open: firstWAL}, signals: []os.Signal{os.Kill}},
		judge:    refusing,
	}, {
		Case:     Case{"KILL/006", "§5.6", Must, "In the moment in which pg_control gets its name, PostgreSQL can start: all else has to be there."},
		scenario: scenario{state: running, watch: true, signals: []os.Signal{os.Kill}},
		judge:    []check{startsWhole},
	}}
}
