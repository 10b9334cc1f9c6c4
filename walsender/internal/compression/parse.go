package compression

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// The levels that a client may ask for, and those that it gets unless it asks.
const (
	gzipDefault = -1
	lz4Default  = 0
	zstdDefault = 3

	gzipMax, lz4Max  = 9, 12
	zstdMin, zstdMax = -131072, 22
)

// firstLong is the first major version of PostgreSQL that knows long-distance matching.
const firstLong = 16

// Parse reads a specification: the algorithm by its name, which the caller has checked, and
// the detail that came with it, nil for none: a level, or KEYWORD=VALUE with commas between
// them. The error is PostgreSQL's of the major version, 42601.
func Parse(algorithm string, detail *string, major int) (Spec, error) {
	s := Spec{Algorithm: algorithm}
	switch algorithm {
	case "gzip":
		s.Level = gzipDefault
	case "lz4":
		s.Level = lz4Default
	case "zstd":
		s.Level = zstdDefault
	}
	given := map[string]bool{}
	if detail != nil {
		if level, ok := integer(*detail); ok {
			s.Level = level
		} else if err := s.keywords(*detail, major, given); err != nil {
			return Spec{}, err
		}
	}
	return s, s.check(given)
}

// keywords reads what a detail has but for a bare level. given notes the keywords.
func (s *Spec) keywords(detail string, major int, given map[string]bool) error {
	for item := range strings.SplitSeq(detail, ",") {
		keyword, value, valued := strings.Cut(item, "=")
		var err error
		switch {
		case keyword == "":
			err = invalidf("found empty string where a compression option was expected")
		case keyword == "level":
			s.Level, err = integerOption(keyword, value, valued)
		case keyword == "workers":
			s.Workers, err = integerOption(keyword, value, valued)
		case keyword == "long" && major >= firstLong:
			s.Long, err = booleanOption(keyword, value, valued)
		default:
			err = invalidf("unrecognized compression option: \"%s\"", protocol.Shorten(keyword, 64))
		}
		if err != nil {
			return err
		}
		given[keyword] = true
	}
	return nil
}

// check is what no algorithm takes, or not this one.
func (s Spec) check(given map[string]bool) error {
	lowest, highest, standard := 1, 1, 0
	switch s.Algorithm {
	case "gzip":
		highest, standard = gzipMax, gzipDefault
	case "lz4":
		highest, standard = lz4Max, lz4Default
	case "zstd":
		lowest, highest, standard = zstdMin, zstdMax, zstdDefault
	default:
		if s.Level != 0 {
			return invalidf("compression algorithm \"%s\" does not accept a compression level", s.Algorithm)
		}
	}
	switch {
	case (s.Level < lowest || s.Level > highest) && s.Level != standard:
		return invalidf("compression algorithm \"%s\" expects a compression level between %d and %d (default at %d)",
			s.Algorithm, lowest, highest, standard)
	case given["workers"] && s.Algorithm != "zstd":
		return invalidf("compression algorithm \"%s\" does not accept a worker count", s.Algorithm)
	case given["long"] && s.Algorithm != "zstd":
		return invalidf("compression algorithm \"%s\" does not support long-distance mode", s.Algorithm)
	}
	return nil
}

// integer reads a number as C's strtol does, with nothing behind it.
func integer(s string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimLeft(s, " \t\n\v\f\r"))
	return n, err == nil
}

func integerOption(keyword, value string, valued bool) (int, error) {
	if !valued {
		return 0, invalidf("compression option \"%s\" requires a value", keyword)
	}
	n, ok := integer(value)
	if !ok {
		return 0, invalidf("value for compression option \"%s\" must be an integer", keyword)
	}
	return n, nil
}

func booleanOption(keyword, value string, valued bool) (bool, error) {
	if !valued {
		return true, nil
	}
	switch strings.ToLower(value) {
	case "yes", "on", "1":
		return true, nil
	case "no", "off", "0":
		return false, nil
	}
	return false, invalidf("value for compression option \"%s\" must be a Boolean value", keyword)
}

func invalidf(format string, args ...any) error {
	return protocol.Errorf(protocol.CodeSyntaxError, "invalid compression specification: %s", fmt.Sprintf(format, args...))
}
