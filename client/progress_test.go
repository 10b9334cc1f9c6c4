package client

import (
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestProgress_Report(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p progress
		var told []Progress
		stop := p.report(func(p Progress) { told = append(told, p) })
		for i := range 20 { // two seconds
			p.files.Store(int64(i + 1))
			time.Sleep(100 * time.Millisecond)
		}
		p.totalFiles.Store(99)
		stop()
		if len(told) < 9 || len(told) > 11 {
			t.Errorf("told %d times in two seconds", len(told))
		}
		if last := told[len(told)-1]; last != (Progress{Files: 20, TotalFiles: 99}) {
			t.Errorf("told at last: %+v", last)
		}
		if !slices.IsSortedFunc(told, func(a, b Progress) int { return int(a.Files - b.Files) }) {
			t.Errorf("goes back: %v", told)
		}
	})
}

// A file that did not become whole is taken off the count, and not off what was told.
func TestProgress_NeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p progress
		var told []int64
		stop := p.report(func(p Progress) { told = append(told, p.Bytes) })
		time.Sleep(progressInterval / 2)                          // each count is there when it is told, and the next is not
		for _, bytes := range []int64{100, 300, 0, 200, 400, 0} { // the last as at an interrupt
			p.bytes.Store(bytes)
			time.Sleep(progressInterval)
		}
		stop()
		if !slices.IsSorted(told) || told[len(told)-1] != 400 {
			t.Errorf("told %v", told)
		}
	})
}

// Each phase begins with a step of the backup, and is told, however short it is.
func TestProgress_Phases(t *testing.T) {
	f := newFake(t)
	steps := map[string]bool{}
	var phases []Phase
	_, err := Backup(t.Context(), Options{
		ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"),
		Progress: func(p Progress) {
			if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
				phases = append(phases, p.Phase)
			}
		},
		step: func(name string) { steps[name] = true },
	})
	must(t, err)
	for step := range phaseOf {
		if !steps[step] {
			t.Errorf("no step is called %q", step)
		}
	}
	want := []Phase{PhasePrepare, PhaseCheckpoint, PhaseCopy, PhaseWAL, PhaseVerify, PhaseWAL, PhaseVerify, PhaseSync}
	if diff := cmp.Diff(want, phases); diff != "" {
		t.Error(diff)
	}
}
