package walsendertest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// message is one from the server to a client.
type message struct {
	kind   byte
	body   []byte // valid until the next message
	answer *answer
	offset int64      // of a CopyData: the payload bytes of the file before it
	files  []*os.File // of which descriptors come with it
	opened *os.File   // that of a fault
}

// answer is the answer to one command, up to its ReadyForQuery.
type answer struct {
	command string // as the client sent it; empty for the startup
	verb    string // its first word in upper case
	path    string // what a SEND_FILE asks for
	began   time.Time

	messages int   // so far
	rows     int   // so far
	sent     int64 // payload bytes so far
	skipping bool  // the client gets nothing more before ReadyForQuery
	copying  bool  // the server waits for the client's CopyDone, too
}

func newAnswer(command string) *answer {
	path, _ := grammar.SentPath(command)
	return &answer{command: command, verb: grammar.Verb(command), path: path, began: time.Now()}
}

// readMessage reads a message. Its body lies in *buf, which grows as needed.
func readMessage(in *bufio.Reader, buf *[]byte) (kind byte, body []byte, err error) {
	var header [5]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return 0, nil, err
	}
	length := int(binary.BigEndian.Uint32(header[1:])) - 4
	if length < 0 {
		return 0, nil, fmt.Errorf("message of the length %d", length)
	}
	if cap(*buf) < length {
		*buf = make([]byte, length)
	}
	body = (*buf)[:length]
	_, err = io.ReadFull(in, body)
	return header[0], body, err
}

// header is what comes before a body of the given length.
func header(kind byte, length int) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind}, uint32(length)+4)
}

// say makes a message that the server did not send, within the same answer.
func (m message) say(said pgproto3.BackendMessage) message {
	encoded, err := said.Encode(nil)
	if err != nil {
		return m // only a message over a gigabyte cannot be encoded
	}
	m.kind, m.body = encoded[0], encoded[5:]
	return m
}

// of reports whether the message is the data of the file.
func (m message) of(path string) bool { return m.kind == 'd' && m.answer.path == path }

// reaches reports whether the data of the file comes to the offset with this message,
// and splits it there: before is what is still to be sent, and may be empty.
func (m message) reaches(path string, offset int64) (before message, ok bool) {
	before = m
	if !m.of(path) || m.offset+int64(len(m.body)) <= offset || m.offset > offset {
		return before, false
	}
	before.body = m.body[:offset-m.offset]
	return before, true
}

// pieces splits data into messages of at most n bytes.
func (m message) pieces(n int, send sender) error {
	for rest := m.body; len(rest) > 0; {
		piece := m
		piece.body = rest[:min(n, len(rest))]
		if err := send(piece); err != nil {
			return err
		}
		rest = rest[len(piece.body):]
		m.offset += int64(len(piece.body))
	}
	return nil
}

// fail says the error in the message's stead, and nothing more of the answer but
// ReadyForQuery.
func (m message) fail(failure *protocol.Error, next sender) error {
	if err := next(m.say(wire.ErrorResponse(failure))); err != nil {
		return err
	}
	if failure.Fatal() {
		return errCut
	}
	m.answer.skipping = true
	return nil
}
