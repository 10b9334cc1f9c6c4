package client

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
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
