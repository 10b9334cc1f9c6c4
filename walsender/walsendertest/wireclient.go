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
func (w *wire) up() {
	defer close(w.upDone)
	err := w.upMessages(bufio.NewReader(w.peer))
	w.server.record.ended(w, err)
	_ = w.inner.CloseWrite() // never fails
}

func (w *wire) upMessages(in *bufio.Reader) error {
	for {
		head, err := in.Peek(5)
		if err != nil {
			return err
		}
		length := int64(binary.BigEndian.Uint32(head[1:])) + 1
		if length < 5 || length > longestRecorded {
			w.server.record.asked(w, fmt.Sprintf("message %q of %d bytes", head[0], length))
			_, _ = io.Copy(w.inner, in)       // the server ends the session
			_, err := io.Copy(io.Discard, in) // unread bytes would reset the connection
			return cmp.Or(err, io.EOF)
		}
		message := make([]byte, length)
		if _, err := io.ReadFull(in, message); err != nil {
			return err
		}
		w.note(message[0], message[5:])
		// What comes after the server's end is recorded all the same.
		_, _ = w.inner.Write(message) // the server may have ended the session
	}
}

// note records a message and expects an answer where one will come.
func (w *wire) note(kind byte, body []byte) {
	switch kind {
	case 'Q':
		text := strings.TrimSuffix(string(body), "\x00")
		w.asked(newAnswer(text))
		w.server.record.asked(w, text)
	case 'S':
		w.asked(newAnswer("Sync"))
		w.server.record.asked(w, `\Sync`)
	case 'F':
		w.asked(newAnswer("FunctionCall"))
		w.server.record.asked(w, `\FunctionCall`)
	case 'X':
		w.server.record.asked(w, `\quit`)
	default:
		w.server.record.asked(w, fmt.Sprintf(`\%s %d bytes`, frontendName(kind), len(body)))
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
