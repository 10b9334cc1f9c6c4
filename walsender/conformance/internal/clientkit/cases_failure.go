package clientkit

import (
	"os"
	"syscall"

	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func failureCases() []Case {
	broken := always(walsendertest.ErrorInFile(relation, 8192, ioError()))
	return []Case{{
		Rule:     rule.Must("FAILURE/001", "§5.3", "A directory that was there and empty belongs to the user: it stays, empty, with its mode."),
		scenario: scenario{existing: 0o755, faults: broken},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("FAILURE/002", "§5.3", "A directory that was not there is gone again."),
		scenario: scenario{faults: broken},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("FAILURE/003", "§5.3", "Parents of the target that the client made are gone again."),
		scenario: scenario{parents: true, faults: always(walsendertest.ErrorInFile(relation, 8192, ioError()))},
		checks:   []check{fails, givesReason, untouched},
	}, {
		Rule:     rule.Must("FAILURE/004", "§5.3", "What is in an occupied directory is not the client's to remove, or to mix with a backup."),
		scenario: scenario{occupied: true},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("FAILURE/005", "§5.3", "Tablespaces lie elsewhere, and are emptied too."),
		scenario: scenario{needs: mapping(), sample: withTablespace, faults: broken},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("FAILURE/006", "§5.3", "A client that says its reason over and over hides it."),
		scenario: scenario{faults: broken},
		checks:   []check{fails, givesReason, saysAtMostOnce(ioErrorText)},
	}, {
		Rule:     rule.Should("FAILURE/007", "§5.3", "An operator who interrupts a backup does not want its remains either."),
		scenario: scenario{state: running, hold: &holdPoint{open: relation}, signals: []os.Signal{syscall.SIGTERM}},
		checks:   []check{fails, untouched},
	}, {
		Rule:     rule.Should("FAILURE/010", "§5.3", "timeout(1) signals its child and then the whole group: the second signal must not break off the cleanup."),
		scenario: scenario{state: running, hold: &holdPoint{open: relation}, signals: []os.Signal{syscall.SIGTERM, syscall.SIGTERM}},
		checks:   []check{fails, untouched},
	}, {
		Rule:     rule.Must("FAILURE/008", "§5.3", "A failure after the copy, when all files are there, leaves nothing either."),
		scenario: scenario{state: running, existing: 0o700, faults: always(walsendertest.ErrorInFile(firstWAL, 8192, ioError()))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("FAILURE/009", "§5.1", "A directory that is there and empty is as good as none."),
		scenario: scenario{state: running, existing: 0o755},
		checks:   completes(),
	}}
}
