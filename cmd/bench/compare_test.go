package main

import (
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// TestCompare_Long measures a little with everything that is there. Figures of so small a run say
// nothing; that each is told does.
func TestCompare_Long(t *testing.T) {
	longtest.Mark(t)
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux's /proc")
	}
	p := postgres.Require(t)
	var table, progress strings.Builder
	args := "-size 3MB -files 1000 -rounds 1 -jobs 2 -only unix,tcp,tls,descriptors,cp,reflink,small -tmpfs " + p.TempDir(t)
	if err := run(t.Context(), strings.Fields(args), &table, &progress); err != nil {
		t.Fatalf("%v\n%s", err, tail(progress.String(), 3000))
	}
	t.Logf("\n%s", table.String())
	for _, row := range []string{
		`unix +\| pg_basebackup \d+ `, `unix +\| pgparallel -j 2 `, `TCP +\| pg_basebackup \d+ `, `TCP +\| pgparallel -j 2 `,
		`TLS +\| pg_basebackup \d+ `, `TLS +\| pgparallel -j 2 `, `- +\| cp -r `,
	} {
		if !regexp.MustCompile(`\| ` + row).MatchString(table.String()) {
			t.Errorf("no row %q", row)
		}
	}
	if text := table.String(); !strings.Contains(text, "Medians of 1 rounds after a warm-up") {
		t.Error("it is not told what the figures are")
	}
}

// TestMeter measures a client without a server.
func TestMeter(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux's /proc")
	}
	// The child of a client counts as the client does: its time once it has been waited for.
	client := exec.Command("sh", "-c", "sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'; true")
	s, err := meter{}.run(t.Context(), client)
	must(t, err)
	if s.wall <= 0 || s.clientCPU <= 0 || s.clientPeak <= 0 || s.serverCPU != 0 || s.servePeak != 0 || s.backendsPeak != 0 {
		t.Errorf("measured %+v", s)
	}
	_, err = meter{}.run(t.Context(), exec.Command("sh", "-c", "echo this is why >&2; exit 3"))
	if err == nil || !strings.Contains(err.Error(), "this is why") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("the error of a client that fails is %v", err)
	}
}
