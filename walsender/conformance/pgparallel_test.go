package conformance_test

import (
	"testing"

	"github.com/pgparallel/pgparallel/walsender/conformance"
)

// TestCheckClient_Pgparallel has the client of this project pass every case, SHOULD
// included.
func TestCheckClient_Pgparallel(t *testing.T) {
	t.Parallel()
	program := build(t, "github.com/pgparallel/pgparallel/cmd/pgparallel")
	report, err := conformance.CheckClient(t.Context(), conformance.Options{
		Command: []string{
			program, "backup", "-h", "{host}", "-p", "{port}", "-D", "{dir}", "-j", "{jobs}", "--min-jobs", "{min-jobs}",
			"-X", "{wal}", "-T", "{tablespace-old}={tablespace-new}",
		},
		Strict: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	allPass(t, report)
}
