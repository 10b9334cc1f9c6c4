package grammar

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"

	"github.com/pgparallel/pgparallel/protocol"
)

const (
	maxLabelLength = 1024 // bytes

	minRate = 32 // kB/s, as PostgreSQL's MAX_RATE_LOWER
	maxRate = 1048576
)

// textValue is a string that is not a file name (§2.2).
func textValue(t lexer.Token) (string, error) {
	if !utf8.ValidString(t.Value) {
		return "", errorAt(t, protocol.CodeCharacterNotInRepertoire, invalidUTF8)
	}
	return unquote(t.Value), nil
}

// labelValue is the label of a backup. It becomes a line of backup_label, which a
// control character could forge.
func labelValue(t lexer.Token) (string, error) {
	label, err := textValue(t)
	if err != nil {
		return "", err
	}
	if wrong := checkLabel(label); wrong != nil {
		wrong.Position = t.Pos.Column
		return "", wrong
	}
	return label, nil
}

// checkLabel is what is wrong with a label, or nil.
func checkLabel(label string) *protocol.Error {
	switch {
	case len(label) > maxLabelLength:
		return protocol.Errorf(protocol.CodeInvalidParameterValue, "backup label too long (max %d bytes)", maxLabelLength)
	case strings.ContainsFunc(label, unicode.IsControl):
		return protocol.Errorf(protocol.CodeInvalidParameterValue, "backup label must not contain control characters")
	}
	return nil
}

func maxRateValue(t lexer.Token) (int, error) {
	rate, err := strconv.Atoi(t.Value)
	if err != nil || rate < minRate || rate > maxRate {
		return 0, errorAt(t, protocol.CodeNumericValueOutOfRange,
			"%s is outside the valid range for parameter \"MAX_RATE\" (%d .. %d)", protocol.Shorten(t.Value, maxQuoted), minRate, maxRate)
	}
	return rate, nil
}

// bytesValue is a number of bytes, from lowest on (§8.3).
func bytesValue(keyword string, t lexer.Token, lowest int64) (int64, error) {
	n, err := strconv.ParseInt(t.Value, 10, 64)
	if err != nil || n < lowest {
		return 0, errorAt(t, protocol.CodeNumericValueOutOfRange, "%s is outside the valid range for parameter \"%s\" (%d .. %d)",
			protocol.Shorten(t.Value, maxQuoted), keyword, lowest, int64(math.MaxInt64))
	}
	return n, nil
}

// algorithmValue is the name of a checksum algorithm, which may be none (§8.3).
func algorithmValue(t lexer.Token) (string, error) {
	name, err := textValue(t)
	if err == nil && name == "" {
		err = errorAt(t, protocol.CodeInvalidParameterValue, "unrecognized checksum algorithm: \"\"")
	}
	return name, err
}

// locationValue is a write-ahead log location (§2.3), whatever leading zeros and
// lower-case digits it was written with.
func locationValue(t lexer.Token) (Location, error) {
	text, err := textValue(t)
	if err != nil {
		return Location{}, err
	}
	lsn, err := protocol.ParseLSN(text)
	if err != nil {
		return Location{}, errorAt(t, protocol.CodeInvalidTextRepresentation,
			"could not parse write-ahead log location \"%s\"", protocol.Shorten(text, maxQuoted))
	}
	return At(lsn), nil
}

// nameValue is a part of a setting's name, or the dot between two of them. What
// is not quoted is folded as PostgreSQL folds identifiers: ASCII letters only.
func nameValue(t lexer.Token) (string, error) {
	switch {
	case !utf8.ValidString(t.Value):
		return "", errorAt(t, protocol.CodeCharacterNotInRepertoire, invalidUTF8)
	case t.Value == `""`:
		return "", errorAt(t, protocol.CodeSyntaxError, "zero-length delimited identifier at or near \"%s\"", t.Value)
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

func timelineValue(t lexer.Token) (protocol.Timeline, error) {
	timeline, err := strconv.ParseUint(t.Value, 10, 32)
	if err != nil || timeline == 0 {
		return 0, errorAt(t, protocol.CodeSyntaxError, "invalid timeline %s", protocol.Shorten(t.Value, maxQuoted))
	}
	return protocol.Timeline(timeline), nil
}
