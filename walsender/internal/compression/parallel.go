package compression

import (
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// parallel is an encoder that compresses in goroutines of its own, which end with Close.
// They write to a buffer, from where the caller's goroutine takes what they have written:
// what is written to is used by one goroutine only. The encoder itself lets no more than a
// few blocks be on their way.
type parallel struct {
	encoder    *zstd.Encoder
	compressed handover
	w          io.Writer
}

func (p *parallel) Reset(w io.Writer) {
	p.compressed.take()
	p.w = w
	p.encoder.Reset(&p.compressed)
}

func (p *parallel) Write(b []byte) (int, error) {
	n, err := p.encoder.Write(b)
	if err != nil {
		return n, err
	}
	return n, p.passOn()
}

func (p *parallel) Close() error {
	if p.w == nil { // Reset was never called
		return nil
	}
	if err := p.encoder.Close(); err != nil {
		return err
	}
	return p.passOn()
}

func (p *parallel) passOn() error {
	b := p.compressed.take()
	defer p.compressed.giveBack(b)
	if len(b) == 0 {
		return nil
	}
	_, err := p.w.Write(b)
	return err
}

// handover is a buffer between goroutines.
type handover struct {
	mu   sync.Mutex
	full []byte
	free []byte
}

func (h *handover) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.full = append(h.full, b...)
	return len(b), nil
}

// take is what was written since it was taken last.
func (h *handover) take() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.full
	h.full, h.free = h.free[:0], nil
	return b
}

// giveBack lets the memory of what was taken be used again.
func (h *handover) giveBack(b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.free = b
}
