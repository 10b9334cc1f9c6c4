package conformance_test

import (
	"testing"

	"github.com/pgparallel/pgparallel/walsender/conformance"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// TestCheckServer_Double has the test double pass what the server passes: whoever tests
// a client with it must not learn another behaviour.
func TestCheckServer_Double(t *testing.T) {
	for name, cluster := range map[string]*walsendertest.Cluster{
		"stopped": walsendertest.Primary(), "running": walsendertest.RunningPrimary(), "standby": walsendertest.Standby(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, err := walsendertest.NewServer(t, cluster).ConnConfig()
			if err != nil {
				t.Fatal(err)
			}
			report, err := conformance.CheckServer(t.Context(), conformance.ServerOptions{Config: config, Strict: true})
			if err != nil {
				t.Fatal(err)
			}
			allPass(t, report)
		})
	}
}
