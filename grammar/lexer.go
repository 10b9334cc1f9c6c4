package grammar

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"
)

// MaxTokens is the number of tokens (keywords, values, single characters) that a
// command may have (§2.4). It bounds the memory that a text can cost.
const MaxTokens = 64

// whiteSpace is what separates tokens, as in PostgreSQL's scanners.
const whiteSpace = " \t\n\r\f\v"

// The types of tokens. A token's value is its source text, quotes included: what
// stands in quotes can then never be taken for a keyword.
const (
	tokenWord         = lexer.EOF - 1 - iota // ASCII letters, digits, _ and $: a keyword in any case, or a name
	tokenName                                // a name that is no keyword: in double quotes, or with other letters
	tokenString                              // '…'
	tokenInteger                             // decimal digits
	tokenLocation                            // two hexadecimal numbers with a slash between: 16/B374D848
	tokenCharacter                           // any other character, alone
	tokenUnterminated                        // a quote without its end, and all that follows
	tokenExcess                              // what comes after MaxTokens tokens
)

// definition is the lexer of the grammar. It makes no errors: what is wrong
// becomes a token that fits nowhere, so that errors come in the order of the text
// and the first word decides before all else whether the command is known.
type definition struct{}

// Symbols are the names by which syntax.go refers to the types of tokens.
func (definition) Symbols() map[string]lexer.TokenType {
	return map[string]lexer.TokenType{
		"EOF":          lexer.EOF,
		"Word":         tokenWord,
		"Name":         tokenName,
		"String":       tokenString,
		"Integer":      tokenInteger,
		"Location":     tokenLocation,
		"Character":    tokenCharacter,
		"Unterminated": tokenUnterminated,
		"Excess":       tokenExcess,
	}
}

// Lex is part of [lexer.Definition].
func (d definition) Lex(name string, r io.Reader) (lexer.Lexer, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return d.LexString(name, string(text))
}

// LexString is part of [lexer.StringDefinition], which participle prefers.
func (definition) LexString(_, text string) (lexer.Lexer, error) {
	s := &scanner{text: text, pos: lexer.Position{Line: 1, Column: 1}}
	tokens := make(stream, 0, 8)
	for {
		t := s.next()
		if t.EOF() {
			tokens = append(tokens, t)
			return &tokens, nil
		}
		if len(tokens) == MaxTokens {
			t.Type, t.Value = tokenExcess, "" // literals match by value alone
			tokens = append(tokens[:1], t, lexer.EOFToken(s.pos))
			return &tokens, nil
		}
		tokens = append(tokens, t)
	}
}

// stream hands out tokens, the last of which is EOF.
type stream []lexer.Token

// Next is part of [lexer.Lexer].
func (s *stream) Next() (lexer.Token, error) {
	t := (*s)[0]
	if !t.EOF() {
		*s = (*s)[1:]
	}
	return t, nil
}

// scanner cuts a text into tokens. All of it is one line to the scanner, whatever
// line breaks it holds: a column is the Position of an ErrorResponse.
type scanner struct {
	text string
	pos  lexer.Position
}

func (s *scanner) next() lexer.Token {
	rest := s.text[s.pos.Offset:]
	s.skip(len(rest) - len(strings.TrimLeft(rest, whiteSpace)))
	rest = s.text[s.pos.Offset:]
	if rest == "" {
		return lexer.EOFToken(s.pos)
	}
	kind, length := classify(rest)
	t := lexer.Token{Type: kind, Value: rest[:length], Pos: s.pos}
	s.skip(length)
	return t
}

func (s *scanner) skip(n int) {
	s.pos.Column += utf8.RuneCountInString(s.text[s.pos.Offset:][:n])
	s.pos.Offset += n
}

// classify is the type and the length in bytes of the token that text, which is
// not empty, begins with.
func classify(text string) (lexer.TokenType, int) {
	switch first := rune(text[0]); {
	case first == '\'':
		return quoted(text, tokenString)
	case first == '"':
		return quoted(text, tokenName)
	case locationLength(text) > 0:
		return tokenLocation, locationLength(text)
	case isDigit(first):
		return tokenInteger, span(text, isDigit)
	case isLetter(first):
		length := span(text, func(r rune) bool { return isLetter(r) || isDigit(r) || r == '$' })
		if strings.ContainsFunc(text[:length], isForeign) {
			return tokenName, length
		}
		return tokenWord, length
	}
	return tokenCharacter, 1
}

// locationLength is the length of the location that text begins with, or 0.
func locationLength(text string) int {
	high := span(text, isHexDigit)
	if high == 0 || high == len(text) || text[high] != '/' {
		return 0
	}
	low := span(text[high+1:], isHexDigit)
	if low == 0 {
		return 0
	}
	return high + 1 + low
}

// quoted is the token of the given type that lasts to the next quote like its
// first character, two of which stand for one.
func quoted(text string, kind lexer.TokenType) (lexer.TokenType, int) {
	for i := 1; i < len(text); i++ {
		if text[i] != text[0] {
			continue
		}
		if i+1 == len(text) || text[i+1] != text[0] {
			return kind, i + 1
		}
		i++
	}
	return tokenUnterminated, len(text)
}

// span is the length of the longest prefix of text whose characters are all in
// the class.
func span(text string, class func(rune) bool) int {
	return len(text) - len(strings.TrimLeftFunc(text, class))
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

func isHexDigit(r rune) bool { return isDigit(r) || 'a' <= r && r <= 'f' || 'A' <= r && r <= 'F' }

// isLetter is PostgreSQL's ident_start: everything beyond ASCII is a letter, also
// bytes that are not UTF-8.
func isLetter(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_' || isForeign(r)
}

func isForeign(r rune) bool { return r >= utf8.RuneSelf }
