package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/pgparallel/pgparallel/client"
)

// progressLine shows how far a backup or a verification has come, in
// pg_basebackup's form, with files where that counts tablespaces: they are copied
// all at once. One goroutine uses it.
type progressLine struct {
	out      *console
	interval time.Duration // between two lines
	latest   string
	shown    string // the last line
	shownAt  time.Time
}

func newProgressLine(out *console) *progressLine {
	p := &progressLine{out: out}
	if !out.terminal {
		p.interval = time.Second // each is one more line of somebody's log
	}
	return p
}

// update takes note of the progress, and shows it if it is time to. Before anything is
// known of the backup there is nothing to show.
func (p *progressLine) update(now client.Progress) {
	if now.TotalBytes == 0 && now.Bytes == 0 && now.TotalFiles == 0 {
		return
	}
	p.latest = progressText(now)
	whole := now.TotalFiles > 0 && now.Files == now.TotalFiles // no message may come ahead of this
	if time.Since(p.shownAt) >= p.interval || whole {
		p.show()
	}
}

// finish shows the latest progress, and lets it stay. It may be called again. nil has
// nothing to show.
func (p *progressLine) finish() {
	if p == nil {
		return
	}
	p.show()
	p.out.keepStatus()
}

func (p *progressLine) show() {
	if p.latest == p.shown {
		return
	}
	p.out.replaceStatus(p.latest)
	p.shown, p.shownAt = p.latest, time.Now()
}

func progressText(p client.Progress) string {
	// Files may have grown since they were listed: never show more than all.
	total := max(p.TotalBytes, p.Bytes)
	percent := int64(100)
	if total > 0 {
		percent = int64(float64(p.Bytes) / float64(total) * 100)
	}
	kB := strconv.FormatInt(total/1024, 10)
	text := fmt.Sprintf("%*d/%s kB (%d%%)", len(kB), p.Bytes/1024, kB, percent)
	switch p.TotalFiles {
	case 0:
	case 1:
		text += fmt.Sprintf(", %d/1 file", p.Files)
	default:
		text += fmt.Sprintf(", %d/%d files", p.Files, p.TotalFiles)
	}
	if p.MaxRate > 0 {
		text += ", at most " + limit(p.MaxRate)
	}
	return text
}
