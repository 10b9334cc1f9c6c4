package client

import (
	"sync/atomic"
	"time"
)

// Progress is how far a backup has come. WAL files do not count: their number is
// known only when all else is copied.
type Progress struct {
	Phase      Phase // what the backup does or waits for
	Bytes      int64 // received so far; never less than before, though what is sent again counts once in [Result]
	TotalBytes int64 // to receive; 0 until the server has listed the files
	Files      int64 // received whole so far
	TotalFiles int64 // to receive; 0 until the server has listed them
	MaxRate    int   // the rate that holds, in kB of 1024 bytes per second; 0 for none. Somebody may change it meanwhile (§8.2)
}

// Phase is a part of a backup that may take long.
type Phase string

// The phases, in their order. PhaseWAL and PhaseVerify take turns: the server is asked to
// stop, and its archive waited for; then the files are listed again; then the WAL arrives;
// then it is judged.
const (
	PhasePrepare    Phase = "prepare"    // connections, the lists of tablespaces, the target
	PhaseCheckpoint Phase = "checkpoint" // the server's, with which the backup begins
	PhaseCopy       Phase = "copy"       // the files
	PhaseWAL        Phase = "wal"        // the backup is stopped, its WAL arrives
	PhaseVerify     Phase = "verify"     // what was copied is held against a second list of files, and its WAL is judged
	PhaseSync       Phase = "sync"       // what was written reaches the disk
)

// phaseOf are the phases by the steps that begin them.
var phaseOf = map[string]Phase{
	"connect": PhasePrepare, "start backup": PhaseCheckpoint, "start stream": PhaseCopy, "stop backup": PhaseWAL,
	"check tablespaces": PhaseVerify, "copy WAL": PhaseWAL, "check WAL": PhaseVerify, "write label": PhaseSync,
}

const progressInterval = 200 * time.Millisecond

// progress counts what the workers do, and reports it.
type progress struct {
	bytes, totalBytes atomic.Int64
	files, totalFiles atomic.Int64
	maxRate           atomic.Int64
	begun             chan Phase // phases that report has not told yet; nil: nobody reports
}

// begin notes the step that begins.
func (p *progress) begin(step string) {
	if phase, begins := phaseOf[step]; begins && p.begun != nil {
		p.begun <- phase // there is room for all
	}
}

func (p *progress) snapshot(phase Phase) Progress {
	return Progress{
		Phase:      phase,
		Bytes:      p.bytes.Load(),
		TotalBytes: p.totalBytes.Load(),
		Files:      p.files.Load(),
		TotalFiles: p.totalFiles.Load(),
		MaxRate:    int(p.maxRate.Load()),
	}
}

// report starts the goroutine that calls show: five times a second, and at the beginning
// of each phase, however short. The goroutine ends with a last call when the returned
// function is called, which returns after it. What is told never goes back: the bytes of a
// file that did not become whole are taken off the count.
func (p *progress) report(show func(Progress)) (stop func()) {
	p.begun = make(chan Phase, len(phaseOf))
	quit, done := make(chan struct{}), make(chan struct{})
	var most int64
	tell := func(phase Phase) {
		now := p.snapshot(phase)
		most = max(most, now.Bytes)
		now.Bytes = most
		show(now)
	}
	go func() { // ends with quit
		defer close(done)
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		var phase Phase
		for {
			select {
			case phase = <-p.begun:
				tell(phase)
			case <-ticker.C:
				tell(phase)
			case <-quit:
				for len(p.begun) > 0 {
					phase = <-p.begun
					tell(phase)
				}
				tell(phase)
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}
