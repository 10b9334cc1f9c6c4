package conformance_test

import (
	"testing"

	"github.com/pgparallel/pgparallel/walsender/conformance"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// oneOfEach selects one case of each area.
var oneOfEach = []string{"*/001"}

// TestCheckClient_Pgparallel has the client of this project pass a case of each area.
func TestCheckClient_Pgparallel(t *testing.T) { checkClient(t, oneOfEach) }

// TestCheckClient_Pgparallel_Long has the client pass every case, SHOULD included.
func TestCheckClient_Pgparallel_Long(t *testing.T) {
	longtest.Mark(t)
	checkClient(t, nil)
}

func checkClient(t *testing.T, selected []string) {
	t.Parallel()
	program := build(t, "github.com/pgparallel/pgparallel/cmd/pgparallel")
	report, err := conformance.CheckClient(t.Context(), conformance.Options{
		Command: []string{
			program, "backup", "-h", "{host}", "-p", "{port}", "-D", "{dir}", "-j", "{jobs}", "--min-jobs", "{min-jobs}",
			"-X", "{wal}", "-T", "{tablespace-old}={tablespace-new}",
		},
		Strict: true, Select: selected,
	})
	if err != nil {
		t.Fatal(err)
	}
	allPass(t, report)
}
