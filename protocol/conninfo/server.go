package conninfo

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// server is one of those that a connection is tried with.
type server struct {
	host     string // a name, an address or a socket directory; empty where hostaddr is all there is
	hostaddr string // the address to connect to instead of asking for that of host
	port     uint16
	portText string // as the password file may have it
	password string
}

// defaultSocketDir is where PostgreSQL's socket is if nobody says where: as Debian
// builds it, or as PostgreSQL comes.
func defaultSocketDir() string {
	const debian = "/var/run/postgresql"
	if info, err := os.Stat(debian); err == nil && info.IsDir() {
		return debian
	}
	return "/tmp"
}

// isSocket reports whether a host is a socket directory, or an abstract one.
func isSocket(host string) bool { return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") }

// listServers pairs the lists of hosts, addresses and ports (fe-connect.c,
// pqConnectOptions2).
func (i *Info) listServers() ([]server, error) {
	hosts, addresses := i.list("host"), i.list("hostaddr")
	n := max(len(hosts), len(addresses), 1)
	if len(hosts) > 0 && len(addresses) > 0 && len(hosts) != len(addresses) {
		return nil, fmt.Errorf("could not match %d host names to %d hostaddr values", len(hosts), len(addresses))
	}
	ports := i.list("port")
	if len(ports) > 1 && len(ports) != n {
		return nil, fmt.Errorf("could not match %d port numbers to %d hosts", len(ports), n)
	}
	servers := make([]server, n)
	for k := range servers {
		s := server{host: element(hosts, k), hostaddr: element(addresses, k), portText: element(ports, min(k, len(ports)-1))}
		if err := s.complete(); err != nil {
			return nil, err
		}
		servers[k] = s
	}
	return servers, nil
}

// list is a value that is a list; an empty one has no elements.
func (i *Info) list(keyword string) []string {
	text := i.text(keyword)
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// element is one of a list, or empty where there is none.
func element(list []string, k int) string {
	if k < 0 || k >= len(list) {
		return ""
	}
	return list[k]
}

func (s *server) complete() error {
	if s.host == "" && s.hostaddr == "" {
		s.host = defaultSocketDir()
	}
	if _, err := netip.ParseAddr(s.hostaddr); s.hostaddr != "" && err != nil {
		return fmt.Errorf("could not parse network address %q", s.hostaddr)
	}
	if s.portText == "" {
		s.portText = "5432"
	}
	// The text is not shown: in a URI, a password with a slash in it ends up here.
	port, err := parseInteger(s.portText)
	if err != nil || port < 1 || port > 65535 {
		return fmt.Errorf("invalid port number for host %q: it is not in the range 1 to 65535", s.name())
	}
	s.port = uint16(port)
	return nil
}

// name is what the server is called, by its certificate for one.
func (s server) name() string {
	if s.host == "" {
		return s.hostaddr
	}
	return s.host
}

// isUnix reports whether the server is reached by a Unix-domain socket.
func (s server) isUnix() bool { return s.hostaddr == "" && isSocket(s.host) }

// socket is the path of the server's socket, if it has one.
func (s server) socket() string {
	return strings.TrimSuffix(s.host, "/") + "/.s.PGSQL." + strconv.Itoa(int(s.port))
}

// passwordHost is what the password file calls the server's host.
func (s server) passwordHost() string {
	if s.name() == defaultSocketDir() {
		return defaultHost
	}
	return s.name()
}

// lookUpPasswords finds the passwords of a connection that has none in the password
// file. It may hold another one for each server.
func (i *Info) lookUpPasswords() {
	password := i.text("password")
	if password == "" && i.text("passfile") == "" {
		i.values["passfile"] = value{inHome(".pgpass"), FromDefaults}
	}
	for k := range i.servers {
		s := &i.servers[k]
		if s.password = password; password != "" {
			continue
		}
		var warning string
		s.password, warning = readPasswordFile(i.text("passfile"), s.passwordHost(), s.portText, i.text("dbname"), i.text("user"))
		if k == 0 && warning != "" {
			i.warnings = append(i.warnings, warning)
		}
	}
}
