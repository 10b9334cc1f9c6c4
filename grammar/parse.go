package grammar

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"github.com/pgparallel/pgparallel/protocol"
)

// MaxCommandLength is the longest text of a command, in bytes (§2.4).
const MaxCommandLength = 16 << 10

// Parse parses the text of a Query message. It may be called from any number of
// goroutines.
//
// An empty query gives neither a command nor an error (§2.5). As in PostgreSQL, a
// text of white space and semicolons only is empty too.
//
// The error is a *[protocol.Error], whose Position is the place in the text: one past
// the last character for the end of the text, 0 where no place is to blame. A byte that
// is not UTF-8 counts as a character. Its Message is valid UTF-8:
//   - 08P01, fatal: the text is longer than [MaxCommandLength];
//   - 22021: a NUL in the text, or a string or name that is not UTF-8 (the path of
//     SEND_FILE may be anything);
//   - 0A000: it does not begin with a command of this package. Nothing of what
//     follows has been looked at, so that the text may be meant for another parser;
//   - 42601: a known command, wrongly written, with more than [MaxTokens] tokens,
//     with an option repeated, or with a timeline that cannot be;
//   - 22003, 22023, 22P02: a MAX_RATE out of range, a label too long or with control
//     characters, a string that is no write-ahead log location.
//
// Of several errors in the syntax the first in the text is reported; values are
// looked at once the syntax is right.
func Parse(text string) (Command, error) {
	if len(text) > MaxCommandLength {
		return nil, protocol.Fatalf(protocol.CodeProtocolViolation, "command is too long (max %d bytes)", MaxCommandLength)
	}
	if c, plain := parseSendFile(text); plain {
		return c, nil
	}
	return parse(text)
}

// parse is [Parse] for a text that is not too long, in whatever form it is.
func parse(text string) (Command, error) {
	if before, _, found := strings.Cut(text, "\x00"); found {
		e := protocol.Errorf(protocol.CodeCharacterNotInRepertoire, invalidUTF8)
		e.Position = utf8.RuneCountInString(before) + 1
		return nil, e
	}
	if strings.Trim(text, whiteSpace+";") == "" {
		return nil, nil
	}
	q, err := parser().ParseString("", text)
	if err != nil {
		return nil, syntaxError(text, err)
	}
	return q.Statement.meaning()
}

// syntaxError is participle's error in PostgreSQL's words.
func syntaxError(text string, err error) error {
	unexpected, ok := errors.AsType[*participle.UnexpectedTokenError](err)
	if !ok { // a fault of the grammar: no text leads here
		return fmt.Errorf("parse a command: %w", err)
	}
	t := unexpected.Unexpected
	if strings.Trim(text[:t.Pos.Offset], whiteSpace) == "" {
		return protocol.Errorf(protocol.CodeFeatureNotSupported,
			"unrecognized replication command \"%s\"", protocol.Shorten(t.Value, maxQuoted))
	}
	switch t.Type {
	case lexer.EOF:
		return errorAt(t, protocol.CodeSyntaxError, "syntax error at end of input")
	case tokenUnterminated:
		return errorAt(t, protocol.CodeSyntaxError, "unterminated quoted string")
	case tokenExcess:
		return errorAt(t, protocol.CodeSyntaxError, "command has too many tokens")
	}
	return errorAt(t, protocol.CodeSyntaxError, "syntax error at or near \"%s\"", protocol.Shorten(t.Value, maxQuoted))
}

// Verb is the name of the command that a text begins with, in upper case: SEND_FILE,
// START_REPLICATION. The command need not be one of this package, nor rightly written.
// It is empty where the text does not begin with a word.
func Verb(text string) string {
	first := (&scanner{text: text}).next()
	if first.Type != tokenWord {
		return ""
	}
	return strings.ToUpper(first.Value)
}

// SentPath is the path that a text asks for with SEND_FILE, and whether it does.
func SentPath(text string) (path string, sends bool) {
	command, _ := Parse(text) // nil where it is none
	send, sends := command.(SendFile)
	return send.Path, sends
}
