package protocol

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// The severities of errors and notices. An error ends the command, a fatal
// error the session; the others only tell.
const (
	SeverityError   = "ERROR"
	SeverityFatal   = "FATAL"
	SeverityWarning = "WARNING"
	SeverityNotice  = "NOTICE"
)

// The SQLSTATEs that the protocol uses, named as in PostgreSQL's errcodes.txt
// (PROTOCOL.md says when each comes).
const (
	CodeWarning                    = "01000"
	CodeConnectionFailure          = "08006"
	CodeProtocolViolation          = "08P01"
	CodeFeatureNotSupported        = "0A000"
	CodeNumericValueOutOfRange     = "22003"
	CodeCharacterNotInRepertoire   = "22021"
	CodeInvalidParameterValue      = "22023"
	CodeInvalidTextRepresentation  = "22P02"
	CodeInvalidAuthorization       = "28000"
	CodeInvalidPassword            = "28P01"
	CodeInsufficientPrivilege      = "42501"
	CodeSyntaxError                = "42601"
	CodeInvalidName                = "42602"
	CodeNameTooLong                = "42622"
	CodeUndefinedObject            = "42704"
	CodeDuplicateObject            = "42710"
	CodeWrongObjectType            = "42809"
	CodeTooManyConnections         = "53300"
	CodeConfigurationLimitExceeded = "53400"
	CodeObjectNotInPrerequisite    = "55000"
	CodeObjectInUse                = "55006"
	CodeQueryCanceled              = "57014"
	CodeAdminShutdown              = "57P01"
	CodeCannotConnectNow           = "57P03"
	CodeIOError                    = "58030"
	CodeUndefinedFile              = "58P01"
	CodeDataCorrupted              = "XX001"
	CodeInternalError              = "XX000"
)

// Error is an ErrorResponse or a NoticeResponse: what the peer sees, and at the
// same time a Go error. A handler returns one to answer with it; any other
// error reaches the peer as [CodeInternalError] without its text.
type Error struct {
	Severity string // one of the severities above; empty means SeverityError
	Code     string // SQLSTATE, five characters
	Message  string // one line, no final stop, lower case as PostgreSQL's are
	Detail   string // optional, whole sentences
	Hint     string // optional, whole sentences: what to do
	Position int    // in the command text, in characters from 1; 0 for none
}

// Errorf makes an error of severity ERROR. The format must not use %w: what
// caused the error stays on this side of the wire.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Severity: SeverityError, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Fatalf is [Errorf] with severity FATAL: the session ends with it.
func Fatalf(code, format string, args ...any) *Error {
	return &Error{Severity: SeverityFatal, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Warningf is a notice of severity WARNING with [CodeWarning].
func Warningf(format string, args ...any) *Error {
	return &Error{Severity: SeverityWarning, Code: CodeWarning, Message: fmt.Sprintf(format, args...)}
}

// WithHint sets the hint and returns e itself.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Error is the message in the form of psql's terse output with its SQLSTATE:
// "ERROR: backup "0a1b2c3d" does not exist (SQLSTATE 42704)".
func (e *Error) Error() string {
	return e.severity() + ": " + e.Message + " (SQLSTATE " + e.Code + ")"
}

// Fatal reports whether the session ends with this error.
func (e *Error) Fatal() bool { return e.Severity == SeverityFatal || e.Severity == "PANIC" }

func (e *Error) severity() string {
	if e.Severity == "" {
		return SeverityError
	}
	return e.Severity
}

// HasCode reports whether err is, or wraps, an [Error] with one of the SQLSTATEs.
func HasCode(err error, codes ...string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e != nil && slices.Contains(codes, e.Code)
}

// NoticeFunc receives what a command has to say besides its result. It is called on
// the goroutine of the call that it was handed to, and not after that has returned.
// It must not keep the caller waiting.
type NoticeFunc func(*Error)

// Shorten cuts s to at most n characters, so that what a peer sent can be quoted
// in a message. Bytes that are not UTF-8 count as a character each and become
// U+FFFD.
func Shorten(s string, n int) string {
	out := make([]rune, 0, min(n, len(s)))
	for len(s) > 0 && len(out) < n {
		r, size := utf8.DecodeRuneInString(s)
		out = append(out, r)
		s = s[size:]
	}
	return string(out)
}

// ShortID is a backup id as logs, metrics and messages show it: its first eight
// characters. Whole ids are secrets.
func ShortID(id string) string { return Shorten(id, 8) }
