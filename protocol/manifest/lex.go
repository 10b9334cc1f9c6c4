package manifest

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pgparallel/pgparallel/protocol"
)

// lexer reads the JSON that manifests are made of: objects, arrays,
// strings and numbers without sign or fraction. The first error stays, and
// everything read after it is empty.
type lexer struct {
	in  *bufio.Reader
	buf []byte // of the string or number being read
	err error
}

// stop makes err the lexer's error, unless it has one.
func (l *lexer) stop(err error) {
	if l.err == nil {
		l.err = err
	}
}

// fail stops at text that is not a manifest's.
func (l *lexer) fail(format string, args ...any) {
	l.stop(fmt.Errorf("could not parse backup manifest: "+format, args...))
}

// ahead is the next byte, which stays where it is; 0 at the end.
func (l *lexer) ahead() byte {
	if l.err != nil {
		return 0
	}
	b, err := l.in.Peek(1)
	if err == io.EOF {
		return 0
	}
	if err != nil {
		l.stop(fmt.Errorf("could not read backup manifest: %w", err))
		return 0
	}
	return b[0]
}

// next takes a byte.
func (l *lexer) next() byte {
	c := l.ahead()
	if n, _ := l.in.Discard(1); n == 0 {
		l.fail("manifest ended unexpectedly")
	}
	return c
}

// token skips white space and is ahead then.
func (l *lexer) token() byte {
	for {
		switch c := l.ahead(); c {
		case ' ', '\t', '\n', '\r':
			l.next()
		default:
			return c
		}
	}
}

// punct takes a punctuation character that must come next.
func (l *lexer) punct(want byte) {
	l.token()
	if c := l.next(); c != want {
		l.fail("expected %q, found %q", want, c)
	}
}

// end makes sure that nothing follows.
func (l *lexer) end() {
	l.token()
	if l.in.Buffered() > 0 {
		l.fail("unexpected text after the manifest")
	}
}

// list reads what stands between two brackets, with commas between the elements.
func (l *lexer) list(opening, closing byte, element func()) {
	l.punct(opening)
	if l.token() == closing {
		l.next()
		return
	}
	for l.err == nil {
		element()
		if l.token() == closing {
			l.next()
			return
		}
		l.punct(',')
	}
}

// fieldSet is a set of fields by their index, the least significant bit first.
type fieldSet uint

func (s fieldSet) has(field int) bool { return s&(1<<field) != 0 }

// object reads an object with fields of these names, each at most once, and
// returns which there were. read reads the value of a field. complaint is about a field of
// another name, which it is followed by.
func (l *lexer) object(kind, complaint string, names []string, read func(field int)) (given fieldSet) {
	l.list('{', '}', func() {
		name := l.text()
		field := slices.IndexFunc(names, func(s string) bool { return s == string(name) })
		if field < 0 {
			l.fail("%s: %q", complaint, protocol.Shorten(string(name), 64))
			return
		}
		if given.has(field) {
			l.fail("duplicate %s field %q", kind, name)
		}
		given |= 1 << field
		l.punct(':')
		read(field)
	})
	return given
}

// number reads a number without sign and fraction; complaint is about another value, which
// it is followed by.
func (l *lexer) number(complaint string) uint64 {
	if l.token() == '"' {
		l.fail("%s: %q", complaint, protocol.Shorten(l.string(), 64))
		return 0
	}
	l.buf = l.buf[:0]
	for c := l.ahead(); isOfScalar(c) && len(l.buf) <= 20; c = l.ahead() {
		l.buf = append(l.buf, l.next())
	}
	n, err := strconv.ParseUint(string(l.buf), 10, 64)
	if err != nil || (len(l.buf) > 1 && l.buf[0] == '0') {
		l.fail("%s: %s", complaint, l.buf)
	}
	return n
}

// isOfScalar reports whether a character may be one of a number, or of a name such as null.
func isOfScalar(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '+' || c == '.'
}

func (l *lexer) string() string { return string(l.text()) }

// text is a string, valid until the next is read.
func (l *lexer) text() []byte {
	l.punct('"')
	l.buf = l.buf[:0]
	for l.err == nil {
		switch c := l.next(); {
		case c == '"':
			if !utf8.Valid(l.buf) {
				l.fail("string is not UTF-8")
			}
			return l.buf
		case c == '\\':
			l.escape()
		case c < ' ':
			l.fail("control character 0x%02x in string", c)
		default:
			l.buf = append(l.buf, c)
		}
	}
	return nil
}

func (l *lexer) escape() {
	switch c := l.next(); c {
	case '"', '\\', '/':
		l.buf = append(l.buf, c)
	case 'b':
		l.buf = append(l.buf, '\b')
	case 'f':
		l.buf = append(l.buf, '\f')
	case 'n':
		l.buf = append(l.buf, '\n')
	case 'r':
		l.buf = append(l.buf, '\r')
	case 't':
		l.buf = append(l.buf, '\t')
	case 'u':
		r := l.codeUnit()
		if utf16.IsSurrogate(r) {
			if l.next() == '\\' && l.next() == 'u' {
				r = utf16.DecodeRune(r, l.codeUnit())
			}
			if utf16.IsSurrogate(r) || r == utf8.RuneError {
				l.fail("unpaired surrogate in string")
			}
		}
		l.buf = utf8.AppendRune(l.buf, r)
	default:
		l.fail("invalid escape %q in string", c)
	}
}

// codeUnit is the four hexadecimal digits of a \u escape.
func (l *lexer) codeUnit() rune {
	var digits [4]byte
	for i := range digits {
		digits[i] = l.next()
	}
	n, err := strconv.ParseUint(string(digits[:]), 16, 16)
	if err != nil {
		l.fail(`invalid escape "\u%s" in string`, digits[:])
	}
	return rune(n)
}
