package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// conn is a connection to the server.
type conn struct {
	net.Conn
	b           *backup
	in          *wire.FrameReader
	descriptors bool // are announced
}

// lostError is a connection that ended.
type lostError struct{ error }

func (b *backup) dial() (*conn, error) {
	raw, err := net.Dial("tcp", b.address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, b: b, in: wire.NewFrameReader(raw, 2<<20)}
	b.mu.Lock()
	b.conns = append(b.conns, c)
	b.mu.Unlock()
	startup := wire.StartupMessage{Major: 3, Parameters: map[string]string{"user": "backup", "replication": "true"}}
	if _, err := c.Write(startup.Encode(nil)); err != nil {
		return nil, err
	}
	return c, c.answer(func(byte, []byte) error { return nil })
}

func (b *backup) hangUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		c.Close()
	}
}

// query sends a command and hands on the messages of its answer.
func (c *conn) query(command string, each func(kind byte, body []byte) error) error {
	if c.b.is("lower-case") {
		command = lowerCase(command)
	}
	text, err := (&pgproto3.Query{String: command}).Encode(nil)
	if err != nil {
		return err
	}
	if _, err := c.Write(text); err != nil {
		return lostError{err}
	}
	return c.answer(each)
}

func lowerCase(command string) string {
	parts := strings.Split(command, "'")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = strings.ToLower(parts[i])
	}
	return strings.Join(parts, "'")
}

// answer reads up to ReadyForQuery. The error is the server's, if it sent one.
func (c *conn) answer(each func(kind byte, body []byte) error) error {
	var refused error
	notices := 0
	for {
		if c.b.is("impatient") {
			c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		}
		kind, body, err := c.in.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("the server says nothing")
		}
		if err != nil {
			return lostError{fmt.Errorf("lost the connection: %w", err)}
		}
		switch kind {
		case 'Z':
			return refused
		case 'N':
			if notices++; notices > 100_000 && !c.b.is("hears-everything") {
				return errors.New("the server never comes to an end")
			}
			if c.b.is("notice-is-fatal") {
				return errors.New("the server has something to say")
			}
		case 'S':
			c.descriptors = c.descriptors || strings.Contains(string(body), "descriptors")
			if c.b.is("knows-all-extensions") && strings.Contains(string(body), "zeal") {
				return errors.New("unknown extension")
			}
			if c.b.is("knows-all-parameters") && strings.Contains(string(body), ".") {
				return errors.New("unknown parameter")
			}
		case 'E':
			var m pgproto3.ErrorResponse
			if err := m.Decode(body); err != nil {
				return err
			}
			e := wire.DecodeError(&m)
			refused = e
			if e.Fatal() {
				return lostError{e}
			}
		default:
			if err := each(kind, body); err != nil {
				return err
			}
		}
	}
}

// rows are the rows of a command.
func (c *conn) rows(command string) ([]protocol.Row, error) {
	var rows []protocol.Row
	err := c.query(command, func(kind byte, body []byte) error {
		var m pgproto3.DataRow
		if kind != 'D' || c.b.is("first-1000-rows") && len(rows) == 1000 {
			return nil
		}
		if err := m.Decode(body); err != nil {
			return err
		}
		row := make(protocol.Row, len(m.Values))
		for i, v := range m.Values {
			if v != nil {
				row[i] = append([]byte{}, v...)
			}
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// row is the row of a command that has one.
func (c *conn) row(command string) (protocol.Row, error) {
	rows, err := c.rows(command)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("%s: %d rows", command, len(rows))
	}
	return rows[0], nil
}

func (c *conn) show(name string) (string, error) {
	row, err := c.row("SHOW " + name)
	if err != nil {
		return "", err
	}
	return string(row[0]), nil
}

// code is the SQLSTATE of an error.
func code(err error) string {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return e.Code
	}
	return ""
}

func isLost(err error) bool {
	_, lost := errors.AsType[lostError](err)
	return lost
}

func (b *backup) quote(s string) string {
	if !b.is("quotes-not-doubled") {
		s = strings.ReplaceAll(s, "'", "''")
	}
	if b.is("names-are-utf8") {
		s = strings.ToValidUTF8(s, "?")
	}
	if b.is("backslash-escapes") {
		s = strings.ReplaceAll(s, `\`, `\\`)
	}
	return "'" + s + "'"
}
