package grammar

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"
)

const (
	maxLabelLength = 1024 // bytes

	minRate = 32 // kB/s, as PostgreSQL's MAX_RATE_LOWER
	maxRate = 1048576
)

// textValue is a string that is not a file name (§2.2).
func textValue(t lexer.Token) (string, error) {
	if !utf8.ValidString(t.Value) {
		return "", errorAt(t, codeCharacterNotInRepertoire, invalidUTF8)
	}
	return unquote(t.Value), nil
}

// labelValue is the label of a backup. It becomes a line of backup_label, which a
// control character could forge.
func labelValue(t lexer.Token) (string, error) {
	label, err := textValue(t)
	switch {
	case err != nil:
		return "", err
	case len(label) > maxLabelLength:
		return "", errorAt(t, codeInvalidParameterValue, "backup label too long (max %d bytes)", maxLabelLength)
	case strings.ContainsFunc(label, unicode.IsControl):
		return "", errorAt(t, codeInvalidParameterValue, "backup label must not contain control characters")
	}
	return label, nil
}

func maxRateValue(t lexer.Token) (int, error) {
	rate, err := strconv.Atoi(t.Value)
	if err != nil || rate < minRate || rate > maxRate {
		return 0, errorAt(t, codeNumericValueOutOfRange,
			"%s is outside the valid range for parameter \"MAX_RATE\" (%d .. %d)", shorten(t.Value), minRate, maxRate)
	}
	return rate, nil
}

// locationValue is a write-ahead log location in the form in which PostgreSQL
// prints it, whatever leading zeros and lower-case digits it was written with.
func locationValue(t lexer.Token) (string, error) {
	location, err := textValue(t)
	if err != nil {
		return "", err
	}
	high, low, _ := strings.Cut(location, "/")
	h, errHigh := parseHex32(high)
	l, errLow := parseHex32(low)
	if errHigh != nil || errLow != nil {
		return "", errorAt(t, codeInvalidTextRepresentation,
			"could not parse write-ahead log location \"%s\"", shorten(location))
	}
	return fmt.Sprintf("%X/%X", h, l), nil
}

// parseHex32 parses one to eight hexadecimal digits.
func parseHex32(s string) (uint64, error) {
	if len(s) > 8 {
		return 0, strconv.ErrRange
	}
	return strconv.ParseUint(s, 16, 32)
}

// nameValue is a part of a setting's name, or the dot between two of them. What
// is not quoted is folded as PostgreSQL folds identifiers: ASCII letters only.
func nameValue(t lexer.Token) (string, error) {
	switch {
	case !utf8.ValidString(t.Value):
		return "", errorAt(t, codeCharacterNotInRepertoire, invalidUTF8)
	case t.Value == `""`:
		return "", errorAt(t, codeSyntaxError, "zero-length delimited identifier at or near \"%s\"", t.Value)
	case t.Value[0] == '"':
		return unquote(t.Value), nil
	}
	return strings.Map(lowerASCII, t.Value), nil
}

func lowerASCII(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + ('a' - 'A')
	}
	return r
}

func timelineValue(t lexer.Token) (uint32, error) {
	timeline, err := strconv.ParseUint(t.Value, 10, 32)
	if err != nil || timeline == 0 {
		return 0, errorAt(t, codeSyntaxError, "invalid timeline %s", shorten(t.Value))
	}
	return uint32(timeline), nil
}
