package walsendertest

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// describe is a message of a server in words.
func describe(kind byte, body []byte) string {
	switch kind {
	case 'R':
		return "AuthenticationOk"
	case 'K':
		return "BackendKeyData"
	case 'Z':
		return "ReadyForQuery " + string(body)
	case 'C':
		return "CommandComplete " + strings.TrimSuffix(string(body), "\x00")
	case 'I':
		return "EmptyQueryResponse"
	case 'H':
		return "CopyOutResponse"
	case 'W':
		return "CopyBothResponse"
	case 'G':
		return "CopyInResponse"
	case 'd':
		return fmt.Sprintf("CopyData %d bytes", len(body))
	case 'c':
		return "CopyDone"
	}
	if text, err := describeFields(kind, body); err == nil {
		return text
	}
	return fmt.Sprintf("message %q of %d bytes", kind, len(body))
}

// describeFields describes the messages that have to be decoded for it.
func describeFields(kind byte, body []byte) (string, error) {
	switch kind {
	case 'S':
		var m pgproto3.ParameterStatus
		err := m.Decode(body)
		return "ParameterStatus " + m.Name + "=" + m.Value, err
	case 'v':
		var m pgproto3.NegotiateProtocolVersion
		err := m.Decode(body)
		return fmt.Sprintf("NegotiateProtocolVersion %d %q", m.NewestMinorProtocol, m.UnrecognizedOptions), err
	case 'T':
		var m pgproto3.RowDescription
		err := m.Decode(body)
		return "RowDescription " + describeColumns(m.Fields), err
	case 'D':
		var m pgproto3.DataRow
		err := m.Decode(body)
		return "DataRow " + describeValues(m.Values), err
	case 'E':
		var m pgproto3.ErrorResponse
		err := m.Decode(body)
		return "ErrorResponse " + describeError(&m), err
	case 'N':
		var m pgproto3.NoticeResponse
		err := m.Decode(body)
		return "NoticeResponse " + describeError((*pgproto3.ErrorResponse)(&m)), err
	}
	return "", fmt.Errorf("message of the type %q", kind)
}

func describeColumns(fields []pgproto3.FieldDescription) string {
	types := map[uint32]string{18: `"char"`, 20: "int8", 23: "int4", 25: "text", 26: "oid"}
	columns := make([]string, len(fields))
	for i, f := range fields {
		columns[i] = string(f.Name) + " " + types[f.DataTypeOID]
	}
	return "(" + strings.Join(columns, ", ") + ")"
}

func describeValues(row [][]byte) string {
	values := make([]string, len(row))
	for i, v := range row {
		values[i] = "NULL"
		if v != nil {
			values[i] = fmt.Sprintf("%q", v)
		}
	}
	return "(" + strings.Join(values, ", ") + ")"
}

func describeError(m *pgproto3.ErrorResponse) string {
	text := m.Severity + " " + m.Code + " " + m.Message
	if m.Detail != "" {
		text += " | detail: " + m.Detail
	}
	if m.Hint != "" {
		text += " | hint: " + m.Hint
	}
	if m.Position != 0 {
		text += fmt.Sprintf(" | position: %d", m.Position)
	}
	return text
}
