package serverkit

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
)

// answer is what a server says up to ReadyForQuery, or to the end of the connection.
type answer struct {
	command   string
	columns   []protocol.Column
	rows      []protocol.Row
	tag       string // of CommandComplete
	severity  string // of the error
	code      string
	message   string
	position  int
	kinds     string // of all messages, notices left out; a file's data is one d
	size      int64  // of a file
	head      []byte // its beginning, at most headLength bytes
	sum       uint32 // CRC-32C of all of it
	longest   int    // payload of a CopyData
	negotiate *pgproto3.NegotiateProtocolVersion
	ready     bool
	closed    bool
}

// headLength is how much of a file's beginning is kept: pg_control, and the first page
// of anything else.
const headLength = 8192

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// name is the command, short enough for a report.
func (a answer) name() string { return protocol.Shorten(a.command, 60) }

// String says how a command ended.
func (a answer) String() string {
	switch {
	case a.code != "":
		return fmt.Sprintf("%s %s %s", a.severity, a.code, a.message)
	case a.tag != "":
		return "CommandComplete " + a.tag
	case a.closed:
		return "the connection was closed"
	}
	return fmt.Sprintf("messages %q", a.kinds)
}

// answer reads an answer. Nothing of it is judged but whether it can be read.
func (p *peer) answer() answer {
	var a answer
	a.closed = !p.hear(func(kind byte, body []byte) (more bool, err error) {
		err = a.take(kind, body)
		return !a.ready, err
	})
	return a
}

// hear hands messages to take until that has enough. It reports whether the connection is
// still there.
func (p *peer) hear(take func(kind byte, body []byte) (more bool, err error)) (open bool) {
	for more := true; more && !p.over(); {
		kind, body, err := p.frames.Next()
		if ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err); ended {
			return false
		}
		if err == nil {
			more, err = take(kind, body)
		}
		if err != nil {
			p.fail("messages of the protocol", "%v", err)
		}
	}
	return true
}

func isReset(err error) bool { return err != nil && strings.Contains(err.Error(), "reset by peer") }

// take adds a message.
func (a *answer) take(kind byte, body []byte) error {
	if kind != 'N' && kind != 'S' && (kind != 'd' || !strings.HasSuffix(a.kinds, "d")) {
		a.kinds += string(kind)
	}
	switch kind {
	case 'T':
		var m pgproto3.RowDescription
		err := m.Decode(body)
		for _, f := range m.Fields {
			a.columns = append(a.columns, protocol.Column{Name: string(f.Name), Type: f.DataTypeOID})
		}
		return err
	case 'D':
		var m pgproto3.DataRow
		err := m.Decode(body)
		a.rows = append(a.rows, copyRow(m.Values))
		return err
	case 'E':
		var m pgproto3.ErrorResponse
		err := m.Decode(body)
		a.severity, a.code, a.message, a.position = m.Severity, m.Code, m.Message, int(m.Position)
		return err
	case 'v':
		a.negotiate = &pgproto3.NegotiateProtocolVersion{}
		return a.negotiate.Decode(body)
	case 'C':
		a.tag = strings.TrimSuffix(string(body), "\x00")
	case 'd':
		a.size += int64(len(body))
		a.head = append(a.head, body[:min(len(body), headLength-len(a.head))]...)
		a.sum = crc32.Update(a.sum, castagnoli, body)
		a.longest = max(a.longest, len(body))
	case 'Z':
		a.ready = true
	}
	return nil
}

// copyRow is a row that outlives the message.
func copyRow(values [][]byte) protocol.Row {
	row := make(protocol.Row, len(values))
	for i, v := range values {
		if v != nil {
			row[i] = append([]byte{}, v...)
		}
	}
	return row
}

// text is a value of the first row; empty for NULL, and where there is none.
func (a answer) text(column int) string {
	if len(a.rows) == 0 || column >= len(a.rows[0]) {
		return ""
	}
	return string(a.rows[0][column])
}

// shaped wants a result with these columns, in text.
func (p *peer) shaped(a answer, columns []protocol.Column) {
	p.want(fmt.Sprint(a.columns) == fmt.Sprint(columns), fmt.Sprintf("%s: the columns %v", a.name(), columns), "the columns %v", a.columns)
}
