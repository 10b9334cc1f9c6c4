package conninfo

import (
	"path/filepath"
	"strings"
)

// PrimaryConnInfo is a standby's primary_conninfo for the server: whatever the user
// gave, by whichever way, in the order and with the quoting of pg_basebackup -R
// (recovery_gen.c); besides user, host and port, which are always in it. What is left
// to libpq's defaults is left to those of the standby. A password that came from the
// password file is not in it, but the file's name. withDatabase adds the database that
// the user named, which a standby of 17 and later synchronizes slots by; others refuse
// it. Paths are absolute.
func (i *Info) PrimaryConnInfo(withDatabase bool) string {
	var pairs []string
	for _, k := range keywords {
		if text := i.primaryValue(k); text != "" && !k.ownOnly {
			pairs = append(pairs, k.Name+"="+quoteValue(text))
		}
	}
	if i.database != "" && withDatabase {
		pairs = append(pairs, "dbname="+quoteValue(i.database))
	}
	return strings.Join(pairs, " ")
}

// primaryValue is what a standby has to be told of a keyword; empty means nothing.
func (i *Info) primaryValue(k Keyword) string {
	text := i.text(k.Name)
	switch k.Name {
	case "user", "port":
		return text
	case "host":
		return i.hosts()
	case "passfile":
		if !i.given("passfile") && (i.text("password") != "" || !i.HasPassword()) {
			return ""
		}
	default:
		if !i.given(k.Name) {
			return ""
		}
	}
	if k.isPath && text != "system" {
		if path, err := filepath.Abs(text); err == nil {
			return path
		}
	}
	return text
}

// hosts are the hosts as they were given, and the socket directory that was found to
// be meant where one was left out.
func (i *Info) hosts() string {
	hosts := make([]string, len(i.servers))
	for k, s := range i.servers {
		hosts[k] = s.host
	}
	if list := strings.Join(hosts, ","); strings.Trim(list, ",") != "" {
		return list
	}
	return "" // addresses are all there is
}

// quoteValue quotes a value for a connection string where that is needed
// (string_utils.c, appendConnStrVal).
func quoteValue(value string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.'
	}
	if value != "" && strings.IndexFunc(value, func(r rune) bool { return !plain(r) }) < 0 {
		return value
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}
