package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
)

// connect makes a connection whose server answers each message, whatever it is, with the
// bytes.
func connect(t *testing.T, answer []byte) *Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() { // ends with the connection
		message := make([]byte, 1024)
		for {
			if _, err := theirs.Read(message); err != nil {
				return
			}
			theirs.Write(answer)
		}
	}()
	c := NewConn(t.Context(), ours, func(*protocol.Error) {})
	t.Cleanup(func() {
		c.Abort()
		theirs.Close()
	})
	return c
}

func encode(t *testing.T, messages ...pgproto3.BackendMessage) []byte {
	t.Helper()
	var b []byte
	for _, m := range messages {
		var err error
		if b, err = m.Encode(b); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// What a server says besides, without an end, ends with an error.
func TestConn_5_9_Notices(t *testing.T) {
	for _, m := range []pgproto3.BackendMessage{
		&pgproto3.NoticeResponse{Severity: "NOTICE", Code: "00000", Message: "again"},
		&pgproto3.ParameterStatus{Name: "work_mem", Value: "1MB"},
	} {
		c := connect(t, bytes.Repeat(encode(t, m), maxUnasked+1))
		err := c.Command("STOP_BACKUP")
		if _, ok := errors.AsType[*protocol.Error](err); !ok || !strings.Contains(err.Error(), "notices and parameters within a command") {
			t.Errorf("%T: error is %v", m, err)
		}
	}
}

// The error of the server leaves a connection that can be used; one that ends the session
// is a LostError.
func TestConn_Errors(t *testing.T) {
	refusal := &pgproto3.ErrorResponse{Severity: "ERROR", Code: protocol.CodeUndefinedFile, Message: "no"}
	c := connect(t, encode(t, refusal, &pgproto3.ReadyForQuery{TxStatus: 'I'}))
	for range 2 {
		err := c.Command("x")
		if _, refused := errors.AsType[*protocol.Error](err); !refused || isLost(err) {
			t.Errorf("error is %#v", err)
		}
	}
	fatal := &pgproto3.ErrorResponse{Severity: "FATAL", Code: protocol.CodeAdminShutdown, Message: "bye"}
	if err := connect(t, encode(t, fatal)).Command("x"); !isLost(err) || err.Error() == "" {
		t.Errorf("after a FATAL error: %#v", err)
	}
	c.Abort()
	if err := c.Command("x"); !isLost(err) {
		t.Errorf("on a closed connection: %#v", err)
	}
}

// A row where none was expected, or none where one was, is an error.
func TestRow(t *testing.T) {
	one := func(r protocol.Row) (string, error) { return string(r[0]), nil }
	row := &pgproto3.DataRow{Values: [][]byte{[]byte("value")}}
	done, ready := &pgproto3.CommandComplete{CommandTag: []byte("SHOW")}, &pgproto3.ReadyForQuery{TxStatus: 'I'}
	if got, err := Row(connect(t, encode(t, row, done, ready)), "x", one); err != nil || got != "value" {
		t.Errorf("one row: %q, %v", got, err)
	}
	for name, answer := range map[string][]byte{
		"no row":         encode(t, done, ready),
		"two rows":       encode(t, row, row, done, ready),
		"not completed":  encode(t, row, ready),
		"another's":      encode(t, &pgproto3.CopyDone{}),
		"not understood": {'D', 0, 0, 0, 5, 1},
	} {
		if _, err := Row(connect(t, answer), "x", one); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	if err := connect(t, encode(t, row, done, ready)).Command("x"); err == nil {
		t.Error("a row is taken where none is expected")
	}
}

func isLost(err error) bool {
	_, lost := errors.AsType[*LostError](err)
	return lost
}

// What a session was told of is all that it has.
func TestConn_8_1_Has(t *testing.T) {
	c := connect(t, nil)
	if c.Has("descriptors") {
		t.Error("a server that announces nothing has an extension")
	}
	c.Parameters[protocol.ParameterExtensions] = "descriptors,progress"
	for extension, want := range map[protocol.Extension]bool{"descriptors": true, "progress": true, "digests": false} {
		if c.Has(extension) != want {
			t.Errorf("%s: %v", extension, !want)
		}
	}
}
