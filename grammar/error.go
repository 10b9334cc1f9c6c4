package grammar

import (
	"github.com/alecthomas/participle/v2/lexer"

	"github.com/pgparallel/pgparallel/protocol"
)

const invalidUTF8 = `invalid byte sequence for encoding "UTF8"`

// maxQuoted is how much of a client's text a message repeats, in characters (§2.6).
const maxQuoted = 64

// errorAt is an error about a token.
func errorAt(t lexer.Token, code, format string, args ...any) *protocol.Error {
	e := protocol.Errorf(code, format, args...)
	e.Position = t.Pos.Column
	return e
}
