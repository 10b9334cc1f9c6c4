package main

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const after = " S 1 4711 4711 0 -1 4194560 900 8000 1 2 150 25 1200 345 20 0 1 0 5000 230000000 3000 18446744073709551615"
	want := cpuTimes{own: 1750 * time.Millisecond, reaped: 15450 * time.Millisecond}
	for _, name := range []string{"postgres", "a b", "a) S 9 (b", ")"} {
		if got, err := parseStat("4711 (" + name + ")" + after); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", name, got, err, want)
		}
	}
	for _, text := range []string{"", "4711", "4711 (postgres)", "4711 (postgres) S 1 2 3", strings.Replace("4711 (x)"+after, " 345 ", " x ", 1)} {
		if got, err := parseStat(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("1 (a) S 1 4711 4711 0 -1 4194560 900 8000 1 2 150 25 1200 345 20 0 1")
	f.Add(")")
	f.Fuzz(func(t *testing.T, text string) { parseStat(text) })
}

func TestParsePeak(t *testing.T) {
	const status = "Name:\tVmHWM: 1 kB\nVmPeak:\t  900 kB\nVmHWM:\t   26624 kB\nVmRSS:\t  100 kB\n"
	if got, found := parsePeak(status); got != 26624<<10 || !found {
		t.Errorf("the peak is %d, %v", got, found)
	}
	for _, text := range []string{"", "Name:\tx\nState:\tZ (zombie)\n", "VmHWM:\tmuch\n"} {
		if got, found := parsePeak(text); found {
			t.Errorf("%q has a peak of %d", text, got)
		}
	}
}

// Of this very process and one that it starts: the time of a child goes over to its parent, and
// its peak is seen while it runs.
func TestTree(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux's /proc")
	}
	before, err := treeCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; read line")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if all := descendantsOf(os.Getpid()); !slices.Contains(all, child.Process.Pid) {
		t.Errorf("%v are below this process, and not %d", all, child.Process.Pid)
	}
	if title := titleOf(child.Process.Pid); !strings.HasPrefix(title, "sh -c i=0;") {
		t.Errorf("the child calls itself %q", title)
	}
	peak := peakOf(child.Process.Pid)
	for end := time.Now().Add(time.Minute); peak < 100<<10 && time.Now().Before(end); peak = peakOf(child.Process.Pid) {
		runtime.Gosched() // it may just have begun
	}
	if peak < 100<<10 {
		t.Errorf("the child has %d bytes", peak)
	}
	in.Close()
	if err := child.Wait(); err == nil {
		t.Error("read succeeds at the end of its input")
	}
	after, err := treeCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	used := child.ProcessState.UserTime() + child.ProcessState.SystemTime()
	if grown := after - before; grown < used-2*tick {
		t.Errorf("the tree has used %v, its child %v alone", grown, used)
	}
	if peak := peakOf(child.Process.Pid); peak != 0 {
		t.Errorf("a process that has ended has %d bytes", peak)
	}
}
