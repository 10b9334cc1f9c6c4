package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// TestNetwork_Long takes backups over one line. That it is as slow as it should be shows in time.
func TestNetwork_Long(t *testing.T) {
	longtest.Mark(t)
	p := postgres.Require(t)
	if _, err := exec.LookPath("ip"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and the program ip")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("needs TUN devices")
	}
	var table, progress strings.Builder
	args := "network -rates 200Mbit -rtts 2ms -span 1s -rounds 1 -jobs 2 -tmpfs " + p.TempDir(t)
	if err := run(t.Context(), strings.Fields(args), &table, &progress); err != nil {
		t.Fatalf("%v\n%s", err, tail(progress.String(), 3000))
	}
	t.Logf("\n%s", table.String())
	// 25 MB/s is what the line carries.
	if !regexp.MustCompile(`(?m)^\| 200Mbit +\| 2ms +\| +\d+MB \| +25 \| +(1?\d|2[0-5]) \| +(1?\d|2[0-5]) \|$`).MatchString(table.String()) {
		t.Error("the line is not there, or carries more than it can")
	}
}

// TestModes holds the program to know its modes.
func TestModes(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"nosuch"}, &out, &out); err == nil || !strings.Contains(err.Error(), `no mode "nosuch"`) {
		t.Errorf("the error is %v", err)
	}
	must(t, run(t.Context(), []string{"model"}, &out, &out))
}
