package auth

import (
	"bytes"
	"fmt"
	"strings"
)

// token is a word of a line. One that begins with a quote is never a keyword.
type token struct {
	text   string
	quoted bool
}

// is reports whether the token is the keyword.
func (t token) is(keyword string) bool { return !t.quoted && t.text == keyword }

// group is the name behind a + that is not quoted.
func (t token) group() (name string, is bool) {
	if t.quoted {
		return "", false
	}
	return strings.CutPrefix(t.text, "+")
}

// expression is the regular expression behind a slash. PostgreSQL has a slash begin one
// within quotes, too, where it may hold commas.
func (t token) expression() (text string, is bool) { return strings.CutPrefix(t.text, "/") }

// field is a list of tokens with commas between them.
type field []token

func (f field) String() string {
	var words []string
	for _, t := range f {
		words = append(words, t.text)
	}
	return strings.Join(words, ",")
}

// line is one line with something in it.
type line struct {
	number int // from 1; of the first of several that backslashes join
	fields []field
}

// lineError is what is wrong with a line of a file.
type lineError struct {
	file string
	line int
	text string
}

// Error names the file and the line first.
func (e *lineError) Error() string {
	return fmt.Sprintf("line %d of %q: %s", e.line, e.file, e.text)
}

// problems gathers what is wrong with a file.
type problems struct {
	file string
	list []error
}

func (p *problems) add(line int, format string, args ...any) {
	p.list = append(p.list, &lineError{p.file, line, fmt.Sprintf(format, args...)})
}

// splitLines splits a file into lines and fields as PostgreSQL does (hba.c, next_token):
// blanks end a field, commas a token of one, # begins a comment, and a backslash at the
// end of a line goes on with the next. Unlike there, a quote must end on its line.
func splitLines(text []byte, wrong *problems) []line {
	var lines []line
	number, joined := 0, []byte(nil)
	for physical := range bytes.Lines(text) {
		number++
		physical = bytes.TrimRight(physical, "\r\n")
		first := number - bytes.Count(joined, []byte("\n"))
		if rest, goesOn := bytes.CutSuffix(physical, []byte(`\`)); goesOn {
			joined = append(append(joined, rest...), '\n')
			continue
		}
		joined = append(joined, physical...)
		fields, ok := splitFields(string(bytes.ReplaceAll(joined, []byte("\n"), nil)))
		joined = nil
		switch {
		case !ok:
			wrong.add(first, "unterminated quoted string")
		case len(fields) > 0:
			lines = append(lines, line{first, fields})
		}
	}
	if joined != nil {
		wrong.add(number, "the last line goes on with a backslash")
	}
	return lines
}

// splitFields reports false where a quote has no end.
func splitFields(text string) (fields []field, ok bool) {
	var now field
	for {
		t, rest, comma, state := nextToken(text)
		switch state {
		case tokenNone:
			if now != nil {
				fields = append(fields, now)
			}
			return fields, true
		case tokenOpen:
			return nil, false
		}
		now, text = append(now, t), rest
		if !comma {
			fields, now = append(fields, now), nil
		}
	}
}

const (
	tokenNone  = iota // the line has no further one
	tokenWhole        // one was read
	tokenOpen         // one begins a quote that does not end
)

func nextToken(text string) (t token, rest string, comma bool, state int) {
	text = strings.TrimLeft(text, " \t,")
	if text == "" || text[0] == '#' {
		return token{}, "", false, tokenNone
	}
	var word []byte
	inQuote, wasQuote := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if !inQuote {
			switch c {
			case ' ', '\t':
				return token{string(word), t.quoted}, text[i+1:], false, tokenWhole
			case ',':
				return token{string(word), t.quoted}, text[i+1:], true, tokenWhole
			case '#':
				return token{string(word), t.quoted}, "", false, tokenWhole
			}
		}
		if c != '"' || wasQuote {
			word = append(word, c)
		}
		wasQuote = inQuote && c == '"' && !wasQuote // two of them are one
		if c == '"' {
			t.quoted = t.quoted || len(word) == 0
			inQuote = !inQuote
		}
	}
	if inQuote {
		return token{}, "", false, tokenOpen
	}
	return token{string(word), t.quoted}, "", false, tokenWhole
}
