package conninfo

import (
	"errors"
	"fmt"
	"strings"
)

// blanks are what isspace takes for such in the C locale.
const blanks = " \t\n\v\f\r"

// isURI reports whether a connection string is in the form of a URI, and what follows
// its scheme then.
func isURI(s string) (rest string, is bool) {
	for _, scheme := range []string{"postgresql://", "postgres://"} {
		if rest, is := strings.CutPrefix(s, scheme); is {
			return rest, true
		}
	}
	return "", false
}

// parse reads a connection string of either form. Of a keyword that comes twice the
// last value counts.
func parse(s string) (map[string]string, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, errors.New("a connection string cannot hold a zero byte")
	}
	set := map[string]string{}
	if rest, is := isURI(s); is {
		return set, parseURI(set, rest)
	}
	return set, parsePairs(set, s)
}

// store keeps a value whose keyword libpq knows, today or from long ago.
func store(set map[string]string, name, value string) error {
	if name == "requiressl" {
		name, value = "sslmode", map[bool]string{true: "require", false: "prefer"}[strings.HasPrefix(value, "1")]
	}
	if find(name) == nil {
		return unknown(set, name)
	}
	set[name] = value
	return nil
}

// unknown is the error for what is no keyword. Where a password came before, it may be
// a part of one that was not quoted.
func unknown(set map[string]string, name string) error {
	if _, after := set["password"]; after {
		return errors.New("invalid connection option after the password (a password with blanks in it must be quoted)")
	}
	return fmt.Errorf("invalid connection option %q", name)
}

// parsePairs reads keywords and values (fe-connect.c, conninfo_parse).
func parsePairs(set map[string]string, s string) error {
	for s = strings.TrimLeft(s, blanks); s != ""; s = strings.TrimLeft(s, blanks) {
		end := strings.IndexAny(s, "="+blanks)
		if end < 0 {
			end = len(s)
		}
		name := s[:end]
		rest, hasValue := strings.CutPrefix(strings.TrimLeft(s[end:], blanks), "=")
		if !hasValue {
			if _, after := set["password"]; after {
				return unknown(set, name)
			}
			return fmt.Errorf(`missing "=" after %q in connection string`, name)
		}
		value, rest, err := cutValue(strings.TrimLeft(rest, blanks))
		if err != nil {
			return err
		}
		if err := store(set, name, value); err != nil {
			return err
		}
		s = rest
	}
	return nil
}

// cutValue takes the value off the begin of s, which is quoted or ends at a blank. A
// backslash takes the next character for itself in both.
func cutValue(s string) (value, rest string, err error) {
	s, quoted := strings.CutPrefix(s, "'")
	end := blanks
	if quoted {
		end = "'"
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case strings.IndexByte(end, s[i]) >= 0:
			return b.String(), s[i+1:], nil
		case s[i] != '\\':
			b.WriteByte(s[i])
		case i+1 < len(s):
			i++
			b.WriteByte(s[i])
		}
	}
	if quoted {
		return "", "", errors.New("unterminated quoted string in connection string")
	}
	return b.String(), "", nil
}
