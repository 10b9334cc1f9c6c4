package passthrough

import (
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// checkTarget refuses a BASE_BACKUP that would write on the server. That is one with the
// option TARGET, which PostgreSQL has from 15 on, whose value is neither client nor
// blackhole. The option is looked for wherever a name can stand, in the grammars of all
// versions. A command that cannot be taken apart is refused.
func checkTarget(text string) error {
	l := optionLexer{rest: text}
	if first, ok := l.next(); ok && (first.kind != 'w' || !strings.EqualFold(first.value, "BASE_BACKUP")) {
		return nil
	}
	for {
		t, ok := l.next()
		switch {
		case !ok:
			return protocol.Errorf(protocol.CodeSyntaxError, "syntax error")
		case t.kind == 0:
			return nil
		case !t.isName() || !strings.EqualFold(t.value, "target"):
			continue
		}
		if value, ok := l.next(); !ok || value.kind != '\'' && !value.isName() || value.lowered() != "client" && value.lowered() != "blackhole" {
			return protocol.Errorf(protocol.CodeFeatureNotSupported,
				"BASE_BACKUP with a target other than client and blackhole is not passed through")
		}
	}
}

// optionToken is a token of a replication command: of kind w for a word, ' or " for
// what is quoted so, 1 for digits, 0 for the end, and of its own kind for a sign.
type optionToken struct {
	kind  byte
	value string // without its quotes
}

func (t optionToken) isName() bool { return t.kind == 'w' || t.kind == '"' }

// lowered is the value as PostgreSQL understands it: words are the same in any case.
func (t optionToken) lowered() string {
	if t.kind == 'w' {
		return strings.ToLower(t.value)
	}
	return t.value
}

// optionLexer takes a command apart as PostgreSQL does (replication/repl_scanner.l).
type optionLexer struct{ rest string }

// next takes a token. False means that no token stands there, as where a quote is not
// closed.
func (l *optionLexer) next() (optionToken, bool) {
	l.rest = strings.TrimLeft(l.rest, " \t\n\r\f\v")
	if l.rest == "" {
		return optionToken{}, true
	}
	switch c := l.rest[0]; {
	case c == '\'' || c == '"':
		return l.quoted(c)
	case isWordByte(c) && !isDigit(c) && c != '$':
		return optionToken{'w', l.take(isWordByte)}, true
	case isDigit(c):
		return optionToken{'1', l.take(isDigit)}, true
	case strings.IndexByte("(),;/.-", c) >= 0:
		l.rest = l.rest[1:]
		return optionToken{kind: c}, true
	}
	return optionToken{}, false
}

// quoted takes a token to its closing quote. A quote within is doubled.
func (l *optionLexer) quoted(quote byte) (optionToken, bool) {
	var value strings.Builder
	for rest := l.rest[1:]; ; {
		part, after, found := strings.Cut(rest, string(quote))
		if !found {
			return optionToken{}, false
		}
		value.WriteString(part)
		if after == "" || after[0] != quote {
			l.rest = after
			return optionToken{quote, value.String()}, true
		}
		value.WriteByte(quote)
		rest = after[1:]
	}
}

// take takes the bytes for which is reports true.
func (l *optionLexer) take(is func(byte) bool) string {
	n := 0
	for n < len(l.rest) && is(l.rest[n]) {
		n++
	}
	token := l.rest[:n]
	l.rest = l.rest[n:]
	return token
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || c == '_' || c == '$' || c >= 0x80
}
