package protocol

import "strings"

// ParseBool reads a boolean as PostgreSQL's parse_bool does: true, false, yes, no, on and
// off, any beginning of them that is unambiguous, 1 and 0, in any case.
func ParseBool(s string) (value, valid bool) {
	s = strings.ToLower(s)
	prefixOf := func(word string, shortest int) bool {
		return len(s) >= shortest && strings.HasPrefix(word, s)
	}
	switch {
	case s == "1", prefixOf("true", 1), prefixOf("yes", 1), prefixOf("on", 2):
		return true, true
	case s == "0", prefixOf("false", 1), prefixOf("no", 1), prefixOf("off", 2):
		return false, true
	}
	return false, false
}
