package conninfo

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Address is a connection string with nothing but the host (a name, an address or a
// socket directory) and the port.
func Address(host string, port uint16) string {
	return "host=" + quoteValue(host) + " port=" + strconv.Itoa(int(port))
}

// CheckString returns an error where libpq could not read the connection string, or no
// line of a configuration file could hold it. The error does not show it.
func CheckString(connString string) error {
	if strings.IndexFunc(connString, unicode.IsControl) >= 0 {
		return errors.New("a connection string with a control character")
	}
	_, err := parse(connString)
	return err
}

// WithAddress is a copy that leads to another server of the same role, options and
// files: to the host and port of the connection string, of which nothing else is taken.
// The password file is searched for that server, and for the database "replication": a
// walreceiver looks there, whatever database the user has named (libpqwalreceiver.c).
//
// The string is from the machine that i leads to. So where its host is a socket
// directory or a loopback address, and i leads to another machine, i's own hosts are
// kept, and only the port is the other's.
func (i *Info) WithAddress(connString string) (*Info, error) {
	if err := CheckString(connString); err != nil {
		return nil, err
	}
	address, err := parse(connString)
	if err != nil {
		return nil, err
	}
	host, port := address["host"], address["port"]
	if host == "" || port == "" || strings.Contains(host+port, ",") {
		return nil, fmt.Errorf("%q does not name one host and one port", connString)
	}
	c := *i
	c.values, c.warnings = maps.Clone(i.values), nil
	c.values["port"] = value{port, FromProgram}
	if !isHere(host) || !slices.ContainsFunc(i.servers, server.isElsewhere) {
		c.values["host"] = value{host, FromProgram}
		delete(c.values, "hostaddr")
	}
	c.values["dbname"] = value{"replication", FromProgram}
	if c.servers, err = c.listServers(); err != nil {
		return nil, err
	}
	c.lookUpPasswords()
	return &c, nil
}

// isHere reports whether a host is the machine of whoever names it.
func isHere(host string) bool {
	address, err := netip.ParseAddr(host)
	return isSocket(host) || host == "localhost" || err == nil && address.Unmap().IsLoopback()
}

// isElsewhere reports whether the server may be on another machine.
func (s server) isElsewhere() bool {
	if s.hostaddr != "" {
		return !isHere(s.hostaddr)
	}
	return !isHere(s.host)
}

// PrimaryConnInfo is a standby's primary_conninfo for the server: whatever the user
// gave, by whichever way, in the order and with the quoting of pg_basebackup -R
// (recovery_gen.c); besides user, host and port, which are always in it. What is left
// to libpq's defaults is left to those of the standby, and what only TLS can meet is left
// out where the server is reached by a Unix-domain socket. A password that came from the
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

// Caveat is what the user should know of PrimaryConnInfo where i is from's
// [Info.WithAddress], one line without an end. What from's own server has met over the
// network may not hold at i's: that is what TLS and authentication are asked for. And the
// password file may have a line for from's server and none for i's. Empty: nothing.
func (i *Info) Caveat(from *Info) string {
	var caveats []string
	remote := slices.ContainsFunc(from.servers, func(s server) bool { return !s.isUnix() })
	if demands := i.demands(); remote && len(demands) > 0 {
		caveats = append(caveats, strings.Join(demands, ", ")+" of this connection must hold there, too")
	}
	if file, entries := i.MissingPasswords(); from.text("password") == "" && from.HasPassword() && !i.HasPassword() {
		if absolute, err := filepath.Abs(file); err == nil {
			file = absolute // as in PrimaryConnInfo
		}
		caveats = append(caveats, fmt.Sprintf("password file %q needs a line for %s", file, strings.Join(entries, ", ")))
	}
	if len(caveats) == 0 {
		return ""
	}
	return fmt.Sprintf("PostgreSQL at %s as role %q: %s", i.where(), i.text("user"), strings.Join(caveats, "; "))
}

// demands are the keywords of PrimaryConnInfo that a server can fail to meet.
func (i *Info) demands() []string {
	var demands []string
	for _, k := range keywords {
		text := i.primaryValue(k)
		switch k.Name {
		case "require_auth":
			if text != "" {
				demands = append(demands, k.Name)
			}
		case "channel_binding", "sslmode", "sslnegotiation", "sslcert", "sslcertmode", "sslrootcert":
			lenient := slices.Contains([]string{"", "disable", "allow", "prefer", "postgres"}, text)
			if !lenient && !i.onlySockets() {
				demands = append(demands, k.Name)
			}
		}
	}
	return demands
}

// where is the servers by host and port, as a line of the password file has them.
func (i *Info) where() string {
	list := make([]string, len(i.servers))
	for k, s := range i.servers {
		list[k] = s.passwordHost() + ":" + s.portText
	}
	return strings.Join(list, ", ")
}

func (i *Info) onlySockets() bool {
	return !slices.ContainsFunc(i.servers, func(s server) bool { return !s.isUnix() })
}

// needsTLS reports whether libpq refuses a connection without TLS because of a value.
// That is not so with sslmode: a Unix-domain socket is exempt from it.
func needsTLS(keyword, text string) bool {
	return (keyword == "channel_binding" || keyword == "sslcertmode") && text == "require"
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
		if !i.given(k.Name) || needsTLS(k.Name, text) && i.onlySockets() {
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
// be meant where one was left out. One that is a socket directory beside an address, which
// counts, is left out.
func (i *Info) hosts() string {
	hosts := make([]string, len(i.servers))
	for k, s := range i.servers {
		if hosts[k] = s.host; s.hostaddr != "" && isSocket(s.host) {
			hosts[k] = ""
		}
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
