package client

import (
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// parameter is a connection parameter of libpq.
type parameter struct{ keyword, variable string }

// primaryParameters are the parameters that a standby can have in its
// primary_conninfo, in libpq's order, with the environment variables that libpq
// takes them from. Those that have none of their own here are replication's, or
// name a database.
func primaryParameters() []parameter {
	return []parameter{
		{"user", "PGUSER"}, {"password", "PGPASSWORD"}, {"passfile", "PGPASSFILE"},
		{"channel_binding", "PGCHANNELBINDING"}, {"connect_timeout", "PGCONNECT_TIMEOUT"},
		{"host", "PGHOST"}, {"hostaddr", "PGHOSTADDR"}, {"port", "PGPORT"},
		{"client_encoding", "PGCLIENTENCODING"}, {"options", "PGOPTIONS"}, {"application_name", "PGAPPNAME"},
		{"keepalives", ""}, {"keepalives_idle", ""}, {"keepalives_interval", ""}, {"keepalives_count", ""}, {"tcp_user_timeout", ""},
		{"sslmode", "PGSSLMODE"}, {"sslcompression", "PGSSLCOMPRESSION"}, {"sslcert", "PGSSLCERT"}, {"sslkey", "PGSSLKEY"},
		{"sslpassword", ""}, {"sslrootcert", "PGSSLROOTCERT"}, {"sslcrl", "PGSSLCRL"}, {"sslcrldir", "PGSSLCRLDIR"},
		{"sslsni", "PGSSLSNI"}, {"requirepeer", "PGREQUIREPEER"},
		{"ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"}, {"ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"},
		{"gssencmode", "PGGSSENCMODE"}, {"krbsrvname", "PGKRBSRVNAME"}, {"gsslib", "PGGSSLIB"},
		{"target_session_attrs", "PGTARGETSESSIONATTRS"},
	}
}

// primaryConnInfo is the connection string by which a standby reaches the server of
// config: who and where as they were found out, the password if there is one, and
// whatever else the connection string and the environment set. What they leave to
// libpq's defaults is left to them.
func primaryConnInfo(config *pgconn.Config, connString string) string {
	set := connStringSettings(connString)
	for _, p := range primaryParameters() {
		if _, found := set[p.keyword]; !found && p.variable != "" {
			set[p.keyword] = os.Getenv(p.variable)
		}
	}
	set["user"], set["password"] = config.User, config.Password
	set["host"], set["port"] = hostsAndPorts(config)
	if set["password"] != "" {
		delete(set, "passfile")
	}
	var pairs []string
	for _, p := range primaryParameters() {
		if value := set[p.keyword]; value != "" {
			pairs = append(pairs, p.keyword+"="+quoteConnValue(value))
		}
	}
	return strings.Join(pairs, " ")
}

// hostsAndPorts are lists of all servers that the connection was to be tried with.
func hostsAndPorts(config *pgconn.Config) (hosts, ports string) {
	type server struct {
		host string
		port uint16
	}
	list := []server{{config.Host, config.Port}}
	for _, f := range config.Fallbacks {
		// With and without TLS a server is tried twice, one time after the other.
		if s := (server{f.Host, f.Port}); s != list[len(list)-1] {
			list = append(list, s)
		}
	}
	var host, port []string
	same := true
	for _, s := range list {
		host = append(host, s.host)
		port = append(port, strconv.Itoa(int(s.port)))
		same = same && s.port == list[0].port
	}
	if same {
		port = port[:1]
	}
	return strings.Join(host, ","), strings.Join(port, ",")
}

// quoteConnValue quotes a value for a connection string where that is needed
// (PostgreSQL's appendConnStrVal).
func quoteConnValue(value string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.'
	}
	if strings.IndexFunc(value, func(r rune) bool { return !plain(r) }) < 0 {
		return value
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// connStringSettings is what a connection string that has been parsed once sets by
// keyword, in either of its forms.
func connStringSettings(s string) map[string]string {
	set := map[string]string{}
	if u, err := url.Parse(s); err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") {
		for keyword, values := range u.Query() {
			set[keyword] = values[len(values)-1]
		}
		return set
	}
	pair := regexp.MustCompile(`(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s\\]|\\.)*))`)
	escape := regexp.MustCompile(`\\(.)`)
	for _, m := range pair.FindAllStringSubmatch(s, -1) {
		set[m[1]] = escape.ReplaceAllString(m[2]+m[3], "$1")
	}
	return set
}
