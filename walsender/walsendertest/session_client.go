package walsendertest

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// longestRecorded is the longest message of a client that is looked into, in bytes.
// The server takes none as long.
const longestRecorded = 64 << 10

// up passes on what the client says, unchanged, until it says nothing more.
func (s *session) up() {
	defer close(s.upDone)
	err := s.upMessages(bufio.NewReader(s.peer))
	s.server.record.ended(s, err)
	_ = s.inner.CloseWrite() // never fails
}

func (s *session) upMessages(in *bufio.Reader) error {
	for {
		head, err := in.Peek(5)
		if err != nil {
			return err
		}
		length := int64(binary.BigEndian.Uint32(head[1:])) + 1
		if length < 5 || length > longestRecorded {
			s.server.record.asked(s, fmt.Sprintf("message %q of %d bytes", head[0], length))
			_, _ = io.Copy(s.inner, in)       // the server ends the session
			_, err := io.Copy(io.Discard, in) // unread bytes would reset the connection
			return cmp.Or(err, io.EOF)
		}
		message := make([]byte, length)
		if _, err := io.ReadFull(in, message); err != nil {
			return err
		}
		s.note(message[0], message[5:])
		// What comes after the server's end is recorded all the same.
		_, _ = s.inner.Write(message) // the server may have ended the session
	}
}

// note records a message and expects an answer where one will come.
func (s *session) note(kind byte, body []byte) {
	switch kind {
	case 'Q':
		text := strings.TrimSuffix(string(body), "\x00")
		s.asked(newAnswer(text))
		s.server.record.asked(s, text)
	case 'S':
		s.asked(newAnswer("Sync"))
		s.server.record.asked(s, `\Sync`)
	case 'F':
		s.asked(newAnswer("FunctionCall"))
		s.server.record.asked(s, `\FunctionCall`)
	case 'X':
		s.server.record.asked(s, `\quit`)
	default:
		s.server.record.asked(s, fmt.Sprintf(`\%s %d bytes`, frontendName(kind), len(body)))
	}
}

func frontendName(kind byte) string {
	names := map[byte]string{'P': "Parse", 'B': "Bind", 'D': "Describe", 'E': "Execute", 'C': "Close", 'H': "Flush",
		'd': "CopyData", 'c': "CopyDone", 'f': "CopyFail", 'p': "Password"}
	if name, ok := names[kind]; ok {
		return name
	}
	return fmt.Sprintf("message %q", kind)
}
