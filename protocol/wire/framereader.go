package wire

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/pgparallel/pgparallel/protocol"
)

const (
	// frameReadAhead is how much is read at once while the next message's
	// length is not known: rows and small files come many to a read. The part of
	// a large body that arrives so with its header is copied.
	frameReadAhead = 64 << 10
	// frameTrust is how much memory a peer gets for announcing a large body.
	// For more it has to send some.
	frameTrust = 64 << 10
)

// FrameReader reads messages that a server sends after the startup, of any type.
// It copies nothing of a large body but what came with its header, so that file
// data passes at the speed of the connection. With a large body the header of the
// message behind it is read, and no more: the next body then comes alone. A large
// body lies at a boundary of the system's pages (see pageAligned). One goroutine uses it.
type FrameReader struct {
	r       io.Reader
	maxBody int
	ahead   []byte // read and not yet returned: ahead[next:filled]
	next    int
	filled  int
	alone   bool   // a large body was the last: what comes next is read to the end of its header only
	large   []byte // for bodies that ahead cannot hold, and a header behind; grows up to maxBody
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
	f.alone = false
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
	end := len(f.ahead)
	if f.alone {
		end = f.next + n
	}
	got, err := io.ReadAtLeast(f.r, f.ahead[f.filled:end], n-have)
	f.filled += got
	if err == io.EOF && have > 0 {
		err = io.ErrUnexpectedEOF
	}
	return readError(err)
}

// readLarge reads a body of n bytes, straight into large but for what lies ahead
// already, and the next header with it if that has come, too.
func (f *FrameReader) readLarge(n int) ([]byte, error) {
	if len(f.large) < min(n, frameTrust)+frameHeader {
		f.large = newLarge(min(f.maxBody, frameTrust))
	}
	have := copy(f.large, f.ahead[f.next:f.filled])
	for have < n {
		room := len(f.large) - frameHeader
		if have >= room {
			f.large = append(newLarge(min(f.maxBody, 2*have))[:0], f.large[:have]...)
			f.large = f.large[:cap(f.large)]
			continue
		}
		got, err := io.ReadAtLeast(f.r, f.large[have:min(n+frameHeader, len(f.large))], min(n, room)-have)
		have += got
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, readError(err)
		}
	}
	f.next, f.filled = 0, copy(f.ahead, f.large[n:have])
	f.alone = true
	return f.large[:n:n], nil
}

// newLarge makes room for a body of n bytes and for the header of the next message.
func newLarge(n int) []byte {
	whole, start := pageAligned(n + frameHeader)
	return whole[start:]
}

func readError(err error) error {
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
		return err
	}
	return fmt.Errorf("could not receive message: %w", err)
}
