package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/pgparallel/pgparallel/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// message is one as it travels.
func message(kind byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body))), body...)
}

// reading is a Reader of what the test writes to the other end.
func reading(t *testing.T, already []byte) (r *Reader, there net.Conn) {
	t.Helper()
	here, there := net.Pipe()
	r = NewReader(here, here, already, func(error) {})
	ctx, cancel := context.WithCancel(t.Context())
	filled := make(chan struct{})
	go func() { // ends with the connection and ctx, at the end of the test
		defer close(filled)
		r.Fill(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		here.Close()
		there.Close()
		<-filled
	})
	return r, there
}

func wantNext(t *testing.T, r *Reader, kind byte, body string) {
	t.Helper()
	if k, b, err := r.Next(t.Context()); k != kind || string(b) != body || err != nil {
		t.Errorf("%q %q, %v; want %q %q", k, b, err, kind, body)
	}
}

// A message comes whole, whatever pieces it arrives in, and what arrived before counts.
func TestReader(t *testing.T) {
	first := message('Q', "one\x00")
	r, there := reading(t, bytes.Clone(first[:3]))
	rest := append(first[3:], message('X', "")...)
	go func() { // ends when the reader has taken all
		for _, b := range rest {
			_, _ = there.Write([]byte{b})
		}
		there.Close()
	}()
	wantNext(t, r, 'Q', "one\x00")
	wantNext(t, r, 'X', "")
	if _, _, err := r.Next(t.Context()); !errors.Is(err, ErrGone) || !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %v", err)
	}
}

// Who waits for a message is woken for something else, and loses nothing by it.
func TestReader_NextUnless(t *testing.T) {
	r, there := reading(t, nil)
	woken := make(chan struct{})
	close(woken)
	if _, _, err := r.NextUnless(t.Context(), woken); !errors.Is(err, ErrWoken) {
		t.Errorf("woken: %v", err)
	}
	go func() { _, _ = there.Write(message('S', "")) }() // ends when it is read
	wantNext(t, r, 'S', "")
	ended, end := context.WithCancelCause(t.Context())
	reason := errors.New("reason")
	end(reason)
	if _, _, err := r.Next(ended); err != reason {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestReader_7_1_TooLong(t *testing.T) {
	for length, want := range map[uint32]string{
		3:              "invalid message length",
		maxMessage + 5: "message of 16386 bytes exceeds the maximum of 16385",
		1<<32 - 1:      "message of 4294967291 bytes exceeds the maximum of 16385",
	} {
		r, _ := reading(t, binary.BigEndian.AppendUint32([]byte{'Q'}, length))
		_, _, err := r.Next(t.Context())
		told, ok := errors.AsType[*protocol.Error](err)
		if !ok || told.Message != want || told.Code != protocol.CodeProtocolViolation || !told.Fatal() {
			t.Errorf("length %d: %v, want %q", length, err, want)
		}
	}
}

// A message that is passed on may be longer than the buffer. CopyData that comes late is
// dropped, and the next command is not.
func TestReader_Pass(t *testing.T) {
	r, there := reading(t, nil)
	long := message('d', string(make([]byte, 3*aheadSize)))
	go func() { // ends when the reader has taken all
		for _, m := range [][]byte{long, long, message('c', ""), message('d', "none"), message('Q', "next\x00")} {
			_, _ = there.Write(m)
		}
	}()
	var passed bytes.Buffer
	kind, err := r.Pass(t.Context(), t.Context(), &passed)
	if kind != 'd' || err != nil || !bytes.Equal(passed.Bytes(), long) {
		t.Errorf("passed %q of %d bytes, %v", kind, passed.Len(), err)
	}
	r.ExpectLateCopyData()
	wantNext(t, r, 'c', "")
	wantNext(t, r, 'd', "none")
	wantNext(t, r, 'Q', "next\x00")
}
