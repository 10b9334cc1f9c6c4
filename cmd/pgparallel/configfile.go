package main

import (
	"errors"
	"fmt"
	"strings"
)

// setting is a line of a configuration file.
type setting struct {
	line        int
	name, value string
	err         error // the line is none; the name may be known
}

// settingError says what is wrong with a setting, and where it is.
type settingError struct {
	where string // FILE:LINE, or the name of an environment variable
	text  string
}

func (e *settingError) Error() string { return e.where + ": " + e.text }

// parseConfig reads a configuration file that is written as postgresql.conf: a name, an
// equals sign if one likes, a value, which stands in quotes where it has spaces, and
// comments behind #. Unlike there, a path needs no quotes, and there are no includes.
func parseConfig(text string) []setting {
	var settings []setting
	number := 0
	for line := range strings.Lines(text) {
		number++
		s, err := parseSetting(strings.TrimRight(line, "\r\n"))
		if s.line, s.err = number, err; s.name != "" || err != nil {
			settings = append(settings, s)
		}
	}
	return settings
}

// parseSetting reads a line. One without a setting has no name.
func parseSetting(line string) (setting, error) {
	rest := strings.TrimLeft(line, " \t")
	if rest == "" || rest[0] == '#' {
		return setting{}, nil
	}
	end := strings.IndexFunc(rest, func(c rune) bool { return !isNameCharacter(c) })
	if end < 0 {
		return setting{}, fmt.Errorf("no value for %q", rest)
	}
	if end == 0 {
		return setting{}, fmt.Errorf("syntax error near %q", rest)
	}
	s := setting{name: strings.ToLower(rest[:end])}
	rest = strings.TrimLeft(rest[end:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	value, behind, err := configValue(rest)
	if err != nil {
		return setting{}, fmt.Errorf("%w for %q", err, s.name)
	}
	behind = strings.TrimLeft(behind, " \t")
	if behind != "" && behind[0] != '#' {
		return setting{}, fmt.Errorf("syntax error near %q: a value with spaces stands in quotes", behind)
	}
	s.value = value
	return s, nil
}

// isNameCharacter allows - as well: who copies the name of an option means the parameter.
func isNameCharacter(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

var (
	errNoValue      = errors.New("no value")
	errUnterminated = errors.New("unterminated quoted value")
)

// configValue takes the value that text begins with, and returns what is behind it.
func configValue(text string) (value, behind string, err error) {
	if text == "" || text[0] == '#' {
		return "", "", errNoValue
	}
	if text[0] != '\'' {
		end := strings.IndexAny(text, " \t#'")
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'' && i+1 < len(text) && text[i+1] == '\'':
			i++
			b.WriteByte('\'')
		case c == '\'':
			return b.String(), text[i+1:], nil
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(unescaped(text[i]))
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errUnterminated
}

// unescaped is the character that a backslash before c means (DeescapeQuotedString of
// guc-file.l, without its numbers).
func unescaped(c byte) byte {
	if i := strings.IndexByte("bfnrt", c); i >= 0 {
		return "\b\f\n\r\t"[i]
	}
	return c
}
