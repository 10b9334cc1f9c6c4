package walstream

import (
	"context"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const segmentSize = 1 << 20

// discardSink takes files and forgets them.
type discardSink struct{}

func (discardSink) Create(*output.File, string) (output.Entry, error) { return discardEntry{}, nil }
func (discardSink) Flush() error                                      { return nil }
func (discardSink) Close()                                            {}
func (discardSink) Meanwhile(func())                                  {}
func (discardSink) HasWaited() bool                                   { return false }

type discardEntry struct{}

func (discardEntry) Add(data []byte) ([]byte, error) { return data, nil }
func (discardEntry) Finish(io.Writer) error          { return nil }
func (discardEntry) Discard() error                  { return nil }

// deafConn takes what is written to it.
type deafConn struct{ net.Conn }

func (deafConn) Write(p []byte) (int, error) { return len(p), nil }

// Whatever the bytes of a message in the stream are, there is an answer to them.
func FuzzStreamData(f *testing.F) {
	f.Add([]byte("k\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(append([]byte("w\x00\x00\x00\x00\x00\x10\x00\x00"), make([]byte, 40)...))
	f.Add([]byte("k00000000000000000")) // a reply is requested
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		source := walrecord.Source{SegmentSize: segmentSize}
		s := &Stream{
			config: Config{Source: source}, conn: wire.NewConn(context.Background(), deafConn{}, nil),
			sink: discardSink{}, copying: true, written: 0x100000, records: walrecord.NewRun(source, 0x100000, 0x100028),
		}
		err := s.data(body, 1)
		if taken := int(s.written - 0x100000); err == nil && len(body) > 0 && body[0] == 'w' && taken != len(body)-xlogDataHeader {
			t.Errorf("%d bytes taken of %q", taken, body)
		}
	})
}
