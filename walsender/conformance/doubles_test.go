package conformance_test

import (
	"testing"

	"github.com/pgparallel/pgparallel/walsender/conformance"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// TestCheckServer_Double has the test double pass what the server passes: whoever tests
// a client with it must not learn another behaviour.
func TestCheckServer_Double(t *testing.T) {
	// Of what runs nothing is streamed: PostgreSQL has a walsender for that.
	streamed := []string{"S-REPLICATION/00[3-9]", "S-REPLICATION/01?", "S-SLOT/*"}
	for name, test := range map[string]struct {
		cluster *walsendertest.Cluster
		excused []string
	}{
		"stopped": {&walsendertest.Cluster{Sample: walsendertest.Sample{Timeline: 2}}, nil},
		"running": {walsendertest.RunningPrimary(), streamed},
		"standby": {walsendertest.Standby(), streamed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, err := walsendertest.NewServer(t, test.cluster).ConnConfig()
			if err != nil {
				t.Fatal(err)
			}
			report, err := conformance.CheckServer(t.Context(), conformance.ServerOptions{Config: config, Strict: true})
			if err != nil {
				t.Fatal(err)
			}
			allPass(t, report, test.excused...)
		})
	}
}
