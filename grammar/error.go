package grammar

import (
	"fmt"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"
)

// The SQLSTATEs of this package, named as in PostgreSQL's errcodes.txt.
const (
	codeProtocolViolation         = "08P01"
	codeFeatureNotSupported       = "0A000"
	codeNumericValueOutOfRange    = "22003"
	codeCharacterNotInRepertoire  = "22021"
	codeInvalidParameterValue     = "22023"
	codeInvalidTextRepresentation = "22P02"
	codeSyntaxError               = "42601"
)

const invalidUTF8 = `invalid byte sequence for encoding "UTF8"`

// maxQuoted is how much of a client's text a message repeats, in characters (§2.6).
const maxQuoted = 64

// Error is what is wrong with a text: the fields of the ErrorResponse that
// answers it. All errors of [Parse] are of this type.
type Error struct {
	Code    string // SQLSTATE, five characters
	Message string // valid UTF-8, one sentence without a final stop
	// Position is the place in the text, counted in characters from 1; one past
	// the last for the end of the text, 0 where no place is to blame. A byte that
	// is not UTF-8 counts as a character.
	Position int
	// Fatal says that the session must end.
	Fatal bool
}

// Error is the message and the SQLSTATE:
// `syntax error at end of input (SQLSTATE 42601)`.
func (e *Error) Error() string {
	return e.Message + " (SQLSTATE " + e.Code + ")"
}

// errorAt is an error about a token.
func errorAt(t lexer.Token, code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Position: t.Pos.Column}
}

// shorten cuts s to maxQuoted characters. Bytes that are not UTF-8 become U+FFFD.
func shorten(s string) string {
	short := make([]rune, 0, maxQuoted)
	for len(s) > 0 && len(short) < maxQuoted {
		r, size := utf8.DecodeRuneInString(s)
		short = append(short, r)
		s = s[size:]
	}
	return string(short)
}
