package wire

import (
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
)

// RowDescription is the message that announces a result set with the columns,
// in the shape of PostgreSQL's simple printer: no table, typmod -1.
func RowDescription(columns ...protocol.Column) *pgproto3.RowDescription {
	fields := make([]pgproto3.FieldDescription, len(columns))
	for i, c := range columns {
		fields[i] = pgproto3.FieldDescription{
			Name:         []byte(c.Name),
			DataTypeOID:  c.Type,
			DataTypeSize: c.Length(),
			TypeModifier: -1,
		}
	}
	return &pgproto3.RowDescription{Fields: fields}
}

// DataRow is a row as a message. The message shares the row's memory.
func DataRow(row protocol.Row) *pgproto3.DataRow { return &pgproto3.DataRow{Values: row} }

// ErrorResponse is an error as a message that ends the command or the session.
func ErrorResponse(e *protocol.Error) *pgproto3.ErrorResponse {
	severity := e.Severity
	if severity == "" {
		severity = protocol.SeverityError
	}
	return &pgproto3.ErrorResponse{
		Severity:            severity,
		SeverityUnlocalized: severity,
		Code:                e.Code,
		Message:             e.Message,
		Detail:              e.Detail,
		Hint:                e.Hint,
		Position:            int32(e.Position),
	}
}

// NoticeResponse is an error as a message that only tells.
func NoticeResponse(e *protocol.Error) *pgproto3.NoticeResponse {
	return (*pgproto3.NoticeResponse)(ErrorResponse(e))
}

// DecodeError is the reverse of [ErrorResponse]. It copies what it keeps. A server that
// sends no unlocalized severity (before PostgreSQL 9.6) is taken by the localized one.
func DecodeError(m *pgproto3.ErrorResponse) *protocol.Error {
	e := &protocol.Error{
		Severity: m.SeverityUnlocalized,
		Code:     m.Code,
		Message:  m.Message,
		Detail:   m.Detail,
		Hint:     m.Hint,
		Position: int(m.Position),
	}
	if e.Severity == "" {
		e.Severity = m.Severity
	}
	return e
}
