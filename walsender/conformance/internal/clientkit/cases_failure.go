package conformance

import (
	"os"
	"syscall"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func failureCases() []clientCase {
	broken := always(walsendertest.ErrorInFile(relation, 8192, ioError()))
	return []clientCase{{
		Case:     Case{"FAILURE/001", "§5.3", Must, "A directory that was there and empty belongs to the user: it stays, empty, with its mode."},
		scenario: scenario{existing: 0o755, faults: broken},
		judge:    refuses(),
	}, {
		Case:     Case{"FAILURE/002", "§5.3", Must, "A directory that was not there is gone again."},
		scenario: scenario{faults: broken},
		judge:    refuses(),
	}, {
		Case:     Case{"FAILURE/003", "§5.3", Must, "Parents of the target that the client made are gone again."},
		scenario: scenario{parents: true, faults: always(walsendertest.ErrorInFile(relation, 8192, ioError()))},
		judge:    []check{fails, givesReason, untouched},
	}, {
		Case:     Case{"FAILURE/004", "§5.3", Must, "What is in an occupied directory is not the client's to remove, or to mix with a backup."},
		scenario: scenario{occupied: true},
		judge:    refuses(),
	}, {
		Case:     Case{"FAILURE/005", "§5.3", Must, "Tablespaces lie elsewhere, and are emptied too."},
		scenario: scenario{needs: mapping(), sample: withTablespace, faults: broken},
		judge:    refuses(),
	}, {
		Case:     Case{"FAILURE/006", "§5.3", Must, "A client that says its reason over and over hides it."},
		scenario: scenario{faults: broken},
		judge:    []check{fails, givesReason, saysAtMostOnce(ioErrorText)},
	}, {
		Case:     Case{"FAILURE/007", "§5.3", Should, "An operator who interrupts a backup does not want its remains either."},
		scenario: scenario{state: running, hold: &holdPoint{open: relation}, signals: []os.Signal{syscall.SIGTERM}},
		judge:    []check{fails, untouched},
	}, {
		Case:     Case{"FAILURE/010", "§5.3", Should, "timeout(1) signals its child and then the whole group: the second signal must not break off the cleanup."},
		scenario: scenario{state: running, hold: &holdPoint{open: relation}, signals: []os.Signal{syscall.SIGTERM, syscall.SIGTERM}},
		judge:    []check{fails, untouched},
	}, {
		Case:     Case{"FAILURE/008", "§5.3", Must, "A failure after the copy, when all files are there, leaves nothing either."},
		scenario: scenario{state: running, existing: 0o700, faults: always(walsendertest.ErrorInFile(firstWAL, 8192, ioError()))},
		judge:    refuses(),
	}, {
		Case:     Case{"FAILURE/009", "§5.1", Must, "A directory that is there and empty is as good as none."},
		scenario: scenario{state: running, existing: 0o755},
		judge:    completes(),
	}}
}
