package wire

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/pgparallel/pgparallel/protocol"
)

const (
	// frameReadAhead is how much is read at once while the next message's
	// length is not known. A part of a large body that arrives with its
	// header is copied, so more is not better.
	frameReadAhead = 8 << 10
	// frameTrust is how much memory a peer gets for announcing a large body.
	// For more it has to send some.
	frameTrust = 64 << 10
)

// FrameReader reads messages that a server sends after the startup, of any type.
// It copies nothing of a large body but what came with its header, so that file
// data passes at the speed of the connection. One goroutine uses it.
type FrameReader struct {
	r       io.Reader
	maxBody int
	ahead   []byte // read and not yet returned: ahead[next:filled]
	next    int
	filled  int
	large   []byte // for bodies that ahead cannot hold; grows up to maxBody
	err     error  // the first, and the answer to every later call
}

// NewFrameReader makes a reader of messages whose body, without the five bytes of
// the header, is at most maxBody bytes long. It reads ahead: nobody else may read
// from r afterwards.
func NewFrameReader(r io.Reader, maxBody int) *FrameReader {
	return &FrameReader{r: r, maxBody: maxBody, ahead: make([]byte, frameReadAhead)}
}

// Next is the next message: the type, and the body, which is valid until the next
// call. The error is io.EOF where the connection ended between two messages and
// io.ErrUnexpectedEOF where it ended inside one; a *[protocol.Error] with
// [protocol.CodeProtocolViolation] for a length that cannot be or is over the limit; else
// the connection's, wrapped. After an error there is nothing but that error.
func (f *FrameReader) Next() (kind byte, body []byte, err error) {
	if f.err == nil {
		kind, body, f.err = f.read()
	}
	if f.err != nil {
		return 0, nil, f.err
	}
	return kind, body, nil
}

func (f *FrameReader) read() (byte, []byte, error) {
	if err := f.fill(frameHeader); err != nil {
		return 0, nil, err
	}
	header := f.ahead[f.next:]
	kind, length := header[0], int64(binary.BigEndian.Uint32(header[1:frameHeader]))
	size := length - 4
	if size < 0 {
		return 0, nil, protocol.Fatalf(protocol.CodeProtocolViolation, "invalid length %d of message of type %q", length, kind)
	}
	if size > int64(f.maxBody) {
		return 0, nil, protocol.Fatalf(protocol.CodeProtocolViolation, "message of type %q is too long: %d bytes, maximum is %d", kind, size, f.maxBody)
	}
	if frameHeader+size > frameReadAhead {
		f.next += frameHeader
		body, err := f.readLarge(int(size))
		return kind, body, err
	}
	if err := f.fill(frameHeader + int(size)); err != nil {
		return 0, nil, err
	}
	start := f.next + frameHeader
	f.next = start + int(size)
	return kind, f.ahead[start:f.next:f.next], nil
}

// fill makes sure that n bytes of a message lie in ahead, from next on.
func (f *FrameReader) fill(n int) error {
	have := f.filled - f.next
	if have >= n {
		return nil
	}
	if f.next+n > len(f.ahead) || have == 0 {
		copy(f.ahead, f.ahead[f.next:f.filled])
		f.next, f.filled = 0, have
	}
	got, err := io.ReadAtLeast(f.r, f.ahead[f.filled:], n-have)
	f.filled += got
	if err == io.EOF && have > 0 {
		err = io.ErrUnexpectedEOF
	}
	return readError(err)
}

// readLarge reads a body of n bytes, straight into large but for what lies ahead
// already.
func (f *FrameReader) readLarge(n int) ([]byte, error) {
	if len(f.large) < min(n, frameTrust) {
		f.large = make([]byte, min(f.maxBody, frameTrust))
	}
	have := copy(f.large, f.ahead[f.next:f.filled])
	f.next += have
	for have < n {
		if have == len(f.large) {
			size := min(f.maxBody, max(n, 2*have))
			f.large = append(make([]byte, 0, size), f.large...)[:size]
		}
		got, err := io.ReadFull(f.r, f.large[have:min(n, len(f.large))])
		have += got
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, readError(err)
		}
	}
	return f.large[:n:n], nil
}

func readError(err error) error {
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
		return err
	}
	return fmt.Errorf("could not receive message: %w", err)
}
