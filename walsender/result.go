package walsender

import (
	"context"
	"iter"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/internal/impossible"
)

// result answers with a result set of the rows.
func (s *session) result(tag string, columns []protocol.Column, rows ...protocol.Row) error {
	if err := s.rows(columns, rows...); err != nil {
		return err
	}
	return s.complete(tag)
}

// rows says the rows of a result set.
func (s *session) rows(columns []protocol.Column, rows ...protocol.Row) error {
	if err := s.out.send(wire.RowDescription(columns...)); err != nil {
		return err
	}
	for _, row := range rows {
		if err := s.out.send(wire.DataRow(row)); err != nil {
			return err
		}
	}
	return nil
}

// files answers with a listing of the cluster's method, row by row as it is found, and with
// the checksums that the rows have, if the listing is one with checksums. An error before the
// first row is the whole answer. bytes are those of the files together.
func (s *session) files(ctx context.Context, tag, method string, checksums bool, files iter.Seq2[protocol.File, error]) (bytes int64, err error) {
	columns := protocol.FileColumns
	if checksums {
		columns = protocol.FileChecksumColumns
	}
	described := false
	describe := func() error {
		if described {
			return nil
		}
		described = true
		return s.out.send(wire.RowDescription(columns()...))
	}
	for file, err := range files {
		if err != nil {
			return bytes, err
		}
		if ctx.Err() != nil {
			return bytes, context.Cause(ctx)
		}
		if err := describe(); err != nil {
			return bytes, err
		}
		if err := impossible.File(method, file); err != nil {
			return bytes, err
		}
		if err := s.out.sendFileRow(file, checksums); err != nil {
			return bytes, err
		}
		bytes += file.Size
	}
	if err := describe(); err != nil {
		return bytes, err
	}
	return bytes, s.complete(tag)
}

// answer ends the answer to a command: its error, if any, then ReadyForQuery. An
// error that ends the session is returned instead.
func (s *session) answer(err error) error {
	if err != nil {
		told := wireError(err)
		if told == nil || told.Fatal() {
			return err
		}
		if err := s.out.send(wire.ErrorResponse(told)); err != nil {
			return err
		}
	}
	return s.ready()
}

// ready says ReadyForQuery. The answers to pipelined commands are gathered.
func (s *session) ready() error {
	if _, err := s.tellRate(); err != nil {
		return err
	}
	if err := s.out.sendEncoded(readyForQuery); err != nil {
		return err
	}
	if s.in.Pending() {
		return nil
	}
	err := s.out.flush()
	s.out.rest()
	return err
}

// complete says CommandComplete with the command's name (§4).
func (s *session) complete(tag string) error {
	return s.out.send(&pgproto3.CommandComplete{CommandTag: []byte(tag)})
}

// notice passes a notice on to the peer. It is sent with what follows.
func (s *session) notice(n *protocol.Error) {
	// An error of the connection shows at the next message as well.
	_ = s.out.send(wire.NoticeResponse(n))
}
