package conninfo

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// parseURI reads what follows the scheme of a URI (fe-connect.c,
// conninfo_uri_parse_options):
//
//	[user[:password]@][host][:port][,...][/dbname][?keyword=value[&...]]
func parseURI(set map[string]string, s string) error {
	if i := strings.IndexAny(s, "@/"); i >= 0 && s[i] == '@' {
		user, password, _ := strings.Cut(s[:i], ":")
		if err := storeDecoded(set, "user", user); err != nil {
			return err
		}
		if err := storeDecoded(set, "password", password); err != nil {
			return err
		}
		s = s[i+1:]
	}
	hosts, ports, rest, err := cutHosts(s)
	if err != nil {
		return err
	}
	if err := storeDecoded(set, "host", hosts); err != nil {
		return err
	}
	if err := storeDecoded(set, "port", ports); err != nil {
		return err
	}
	path, query, _ := strings.Cut(rest, "?")
	if err := storeDecoded(set, "dbname", strings.TrimPrefix(path, "/")); err != nil {
		return err
	}
	return parseQuery(set, query)
}

// storeDecoded keeps a part of a URI that is there.
func storeDecoded(set map[string]string, name, value string) error {
	if value == "" {
		return nil
	}
	value, err := decodePercent(value)
	if err != nil {
		return fmt.Errorf("%w in the %s of the connection URI", err, name)
	}
	return store(set, name, value)
}

// cutHosts takes hosts and ports off the begin of s, as lists of equal length, encoded
// as they are.
func cutHosts(s string) (hosts, ports, rest string, err error) {
	for {
		host, after, err := cutHost(s)
		if err != nil {
			return "", "", "", err
		}
		hosts, s = hosts+host, after
		if port, is := strings.CutPrefix(s, ":"); is {
			end := indexAny(port, "/?,")
			ports, s = ports+port[:end], port[end:]
		}
		after, more := strings.CutPrefix(s, ",")
		if !more {
			return hosts, ports, s, nil
		}
		hosts, ports, s = hosts+",", ports+",", after
	}
}

func cutHost(s string) (host, rest string, err error) {
	address, bracketed := strings.CutPrefix(s, "[")
	if !bracketed {
		end := indexAny(s, ":/?,")
		return s[:end], s[end:], nil
	}
	host, rest, closed := strings.Cut(address, "]")
	switch {
	case !closed:
		return "", "", errors.New(`missing "]" after the IPv6 address in the connection URI`)
	case host == "":
		return "", "", errors.New("the IPv6 address in the connection URI is empty")
	case rest != "" && indexAny(rest[:1], ":/?,") != 0:
		return "", "", errors.New(`expected ":" or "/" after the IPv6 address in the connection URI`)
	}
	return host, rest, nil
}

// indexAny is strings.IndexAny, with the length of s for what is not there.
func indexAny(s, chars string) int {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return i
	}
	return len(s)
}

func parseQuery(set map[string]string, query string) error {
	for query != "" {
		var parameter string
		parameter, query, _ = strings.Cut(query, "&")
		name, value, hasValue := strings.Cut(parameter, "=")
		name, err := decodePercent(name)
		if err != nil {
			return fmt.Errorf("%w in a keyword of the connection URI", err)
		}
		switch {
		case find(name) == nil && name != "ssl" && name != "requiressl":
			return unknown(set, name)
		case !hasValue:
			return fmt.Errorf(`missing "=" after %q in the connection URI`, name)
		case strings.Contains(value, "="):
			return fmt.Errorf(`a second "=" in the value of %q in the connection URI`, name)
		}
		if value, err = decodePercent(value); err != nil {
			return fmt.Errorf("%w in the value of %q in the connection URI", err, name)
		}
		if name == "ssl" && value == "true" { // as JDBC has it
			name, value = "sslmode", "require"
		}
		if err := store(set, name, value); err != nil {
			return err
		}
	}
	return nil
}

func decodePercent(s string) (string, error) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "%")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		if len(after) < 2 {
			return "", errors.New("invalid percent-encoding")
		}
		c, err := strconv.ParseUint(after[:2], 16, 8)
		switch {
		case err != nil:
			return "", errors.New("invalid percent-encoding")
		case c == 0:
			return "", errors.New("forbidden value %00")
		}
		b.WriteByte(byte(c))
		s = after[2:]
	}
}
