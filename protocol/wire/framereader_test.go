package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/pgparallel/pgparallel/protocol/internal/protocoltest"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"pgregory.net/rapid"
)

type message struct {
	Kind byte
	Body []byte
}

func appendMessage(dst []byte, m message) []byte {
	dst = append(dst, m.Kind)
	dst = binary.BigEndian.AppendUint32(dst, uint32(4+len(m.Body)))
	return append(dst, m.Body...)
}

// readAll reads messages until there are none and returns copies.
func readAll(f *wire.FrameReader) ([]message, error) {
	var all []message
	for {
		kind, body, err := f.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, message{kind, bytes.Clone(body)})
	}
}

// chunkReader returns as many bytes at a time as its sizes say, in turn.
type chunkReader struct {
	r     io.Reader
	sizes []int
	turn  int
}

func (c *chunkReader) Read(p []byte) (int, error) {
	size := c.sizes[c.turn%len(c.sizes)]
	c.turn++
	return c.r.Read(p[:min(len(p), size)])
}

// Whatever the sizes of messages and of reads: what was sent arrives.
func TestFrameReader(t *testing.T) {
	const maxBody = 200_000
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.OneOf(
			rapid.IntRange(0, 20), rapid.IntRange(8<<10-10, 8<<10+10), rapid.IntRange(64<<10-10, 64<<10+10),
			rapid.IntRange(0, maxBody), rapid.Just(maxBody),
		), 0, 8).Draw(t, "sizes")
		var sent []byte
		for i, size := range sizes {
			m := message{byte('a' + i%26), make([]byte, size)}
			for j := range m.Body {
				m.Body[j] = byte(i + j*7)
			}
			sent = appendMessage(sent, m)
		}
		chunks := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(1, 10), rapid.IntRange(1, 1<<20)), 1, 5).Draw(t, "chunks")
		all, err := readAll(wire.NewFrameReader(&chunkReader{r: bytes.NewReader(sent), sizes: chunks}, maxBody))
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for _, m := range all {
			got = appendMessage(got, m)
		}
		if !bytes.Equal(got, sent) {
			t.Fatal("what arrived is not what was sent")
		}
	})
}

func TestFrameReaderLimits(t *testing.T) {
	for _, test := range []struct {
		sent string
		want string
	}{
		{"Z\x00\x00\x00\x03", `FATAL: invalid length 3 of message of type 'Z' (SQLSTATE 08P01)`},
		{"Z\x00\x00\x00\x00", `FATAL: invalid length 0 of message of type 'Z' (SQLSTATE 08P01)`},
		{"d\x00\x00\x00\x0f", `FATAL: message of type 'd' is too long: 11 bytes, maximum is 10 (SQLSTATE 08P01)`},
		{"d\xff\xff\xff\xff", `FATAL: message of type 'd' is too long: 4294967291 bytes, maximum is 10 (SQLSTATE 08P01)`},
		{"Z\x00\x00\x00\x04", "EOF"},
		{"d\x00\x00\x00\x0e0123456789", "EOF"},
		{"", "EOF"},
		{"Z", "unexpected EOF"},
		{"Z\x00\x00\x00", "unexpected EOF"},
		{"d\x00\x00\x00\x0e", "unexpected EOF"},
		{"d\x00\x00\x00\x0e012345678", "unexpected EOF"},
	} {
		f := wire.NewFrameReader(bytes.NewReader([]byte(test.sent)), 10)
		var err error
		for err == nil {
			_, _, err = f.Next()
		}
		protocoltest.WantText(t, test.sent, err, test.want)
		if _, _, again := f.Next(); again != err {
			t.Errorf("%q: the error was %v, and then %v", test.sent, err, again)
		}
	}
}

func TestFrameReaderCutInLargeBody(t *testing.T) {
	sent := appendMessage(nil, message{'d', make([]byte, 200_000)})
	for _, cut := range []int{5, 6, 8 << 10, 8<<10 + 1, 64 << 10, 64<<10 + 5, 64<<10 + 6, len(sent) - 1} {
		f := wire.NewFrameReader(bytes.NewReader(sent[:cut]), wire.MaxFrame)
		if _, _, err := f.Next(); err != io.ErrUnexpectedEOF {
			t.Errorf("cut after %d bytes: %v", cut, err)
		}
	}
}

func TestFrameReaderReadError(t *testing.T) {
	broken := errors.New("broken")
	sent := appendMessage(nil, message{'d', make([]byte, 100_000)})
	for _, cut := range []int{0, 3, 5, 50_000} {
		f := wire.NewFrameReader(io.MultiReader(bytes.NewReader(sent[:cut]), iotest.ErrReader(broken)), wire.MaxFrame)
		if _, _, err := f.Next(); !errors.Is(err, broken) {
			t.Errorf("broken after %d bytes: %v", cut, err)
		}
	}
}

// Announcing a large message gets a peer no memory.
func TestFrameReaderMemory(t *testing.T) {
	const maxBody = 1 << 30
	header := binary.BigEndian.AppendUint32([]byte{'d'}, maxBody+4)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f := wire.NewFrameReader(bytes.NewReader(append(header, make([]byte, 1000)...)), maxBody)
	if _, _, err := f.Next(); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 256<<10 {
		t.Errorf("%d bytes allocated", got)
	}
}

// Many small messages cost one read, and so does a large one.
func TestFrameReaderReads(t *testing.T) {
	sent := bytes.Repeat(appendMessage(nil, message{'D', []byte("small")}), 100)
	large := len(sent)
	sent = appendMessage(sent, message{'d', make([]byte, wire.DefaultFrame)})
	counted := &chunkReader{r: bytes.NewReader(sent[:large]), sizes: []int{1 << 20}}
	if _, err := readAll(wire.NewFrameReader(counted, wire.MaxFrame)); err != nil {
		t.Fatal(err)
	}
	if counted.turn > 2 { // the second finds the end
		t.Errorf("%d reads for small messages", counted.turn)
	}
	repeated := bytes.Repeat(sent[large:], 10)
	counted = &chunkReader{r: bytes.NewReader(repeated), sizes: []int{1 << 20}}
	if _, err := readAll(wire.NewFrameReader(counted, wire.MaxFrame)); err != nil {
		t.Fatal(err)
	}
	if counted.turn > 10+3 { // the first one's header, one while the buffer grows, one for the end
		t.Errorf("%d reads for 10 large messages", counted.turn)
	}
}

func FuzzFrameReader(f *testing.F) {
	f.Add(appendMessage(appendMessage(nil, message{'Z', []byte("I")}), message{'d', make([]byte, 100)}), uint16(100))
	f.Fuzz(func(t *testing.T, sent []byte, maxBody uint16) {
		all, _ := readAll(wire.NewFrameReader(bytes.NewReader(sent), int(maxBody)))
		var again []byte
		for _, m := range all {
			if len(m.Body) > int(maxBody) {
				t.Errorf("a body of %d bytes, over %d", len(m.Body), maxBody)
			}
			again = appendMessage(again, m)
		}
		if !bytes.HasPrefix(sent, again) {
			t.Errorf("%q was read as %v", sent, all)
		}
	})
}

// endless repeats a message for ever.
type endless struct {
	message []byte
	at      int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.message[e.at:])
	e.at = (e.at + n) % len(e.message)
	return n, nil
}

func TestFrameReaderAllocations(t *testing.T) {
	for _, size := range []int{5, 8 << 10, wire.DefaultFrame, wire.MaxFrame} {
		f := wire.NewFrameReader(&endless{message: appendMessage(nil, message{'d', make([]byte, size)})}, wire.MaxFrame)
		next := func() {
			if _, _, err := f.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(100, next); n != 0 {
			t.Errorf("%v allocations for a message of %d bytes", n, size)
		}
	}
}

func BenchmarkFrameReader(b *testing.B) {
	for name, size := range map[string]int{"small": 50, "default": wire.DefaultFrame} {
		b.Run(name, func(b *testing.B) {
			f := wire.NewFrameReader(&endless{message: appendMessage(nil, message{'d', make([]byte, size)})}, wire.MaxFrame)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := f.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
