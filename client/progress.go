package client

import (
	"sync/atomic"
	"time"
)

// Progress is how far a backup has come. WAL files do not count: their number is
// known only when all else is copied.
type Progress struct {
	Bytes      int64 // received so far
	TotalBytes int64 // to receive: estimated by the server at first, then as listed
	Files      int64 // received whole so far
	TotalFiles int64 // to receive; 0 until the server has listed them
}

const progressInterval = 200 * time.Millisecond

// progress counts what the workers do, and reports it.
type progress struct {
	bytes, totalBytes atomic.Int64
	files, totalFiles atomic.Int64
}

func (p *progress) snapshot() Progress {
	return Progress{
		Bytes:      p.bytes.Load(),
		TotalBytes: p.totalBytes.Load(),
		Files:      p.files.Load(),
		TotalFiles: p.totalFiles.Load(),
	}
}

// report starts the goroutine that calls tell. The goroutine ends with a last call
// when the returned function is called, which returns after it.
func (p *progress) report(tell func(Progress)) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				tell(p.snapshot())
			case <-quit:
				tell(p.snapshot())
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}
