package client_test

import (
	"path/filepath"
	"testing"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func TestMonitor_8_2(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{}.Write(dir))
	table := sharedstate.NewTable(0)
	config := serve(t, dir, &walsender.Server{Backups: table})
	running, err := table.Start(sharedstate.Request{Owner: "another", Label: "nightly", MaxRate: 100})
	must(t, err)
	must(t, running.Started(protocol.StartPoint{StartPtr: 0x2000028, Timeline: 1}, false))
	running.SetTotal(5000)

	monitor, err := client.OpenMonitor(t.Context(), client.MonitorOptions{ConnConfig: config})
	must(t, err)
	defer monitor.Close()
	backups, err := monitor.Backups()
	must(t, err)
	if len(backups) != 1 || backups[0].Backup != running.ID[:8] || backups[0].Total != 5000 || backups[0].MaxRate != 100 {
		t.Fatalf("the backups are %+v", backups)
	}
	must(t, monitor.SetRate(running.ID[:8], 0))
	if running.HasRate() {
		t.Error("the rate is not changed")
	}
	if err := monitor.SetRate("00000000", 32); !protocol.HasCode(err, protocol.CodeUndefinedObject) {
		t.Errorf("a backup that there is none of: %v", err)
	}
	if err := monitor.SetRate(running.ID[:8], 1); !protocol.HasCode(err, protocol.CodeNumericValueOutOfRange) {
		t.Errorf("a rate out of range: %v", err)
	}
}
