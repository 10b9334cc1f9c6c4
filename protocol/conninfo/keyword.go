package conninfo

import (
	"slices"
	"strconv"
	"strings"
)

// Effect is what becomes of a keyword's value.
type Effect int

const (
	// Honoured means that the value has the effect that it has in libpq.
	Honoured Effect = iota
	// Harmless means that libpq's effect is one that cannot come up here: of a
	// method of authentication that is not built in, of a setting that the
	// program makes itself.
	Harmless
	// Refused means that any value but the empty one is an error.
	Refused
)

// Keyword is a parameter of connections in libpq 15 to 18 (fe-connect.c,
// PQconninfoOptions).
type Keyword struct {
	Name     string // in connection strings and service files
	Variable string // of the environment; empty: none
	Since    int    // the major version whose libpq was the first to know it; 0: 15 does
	Effect   Effect

	fallback string             // libpq's default
	check    func(string) error // nil: any value will do
	isPath   bool               // of a file
	ownOnly  bool               // no part of a primary_conninfo
}

// Keywords returns the keywords in libpq's order.
func Keywords() []Keyword { return slices.Clone(keywords) }

var keywords = []Keyword{
	{Name: "service", Variable: "PGSERVICE", ownOnly: true},
	{Name: "user", Variable: "PGUSER"},
	{Name: "password", Variable: "PGPASSWORD"},
	{Name: "passfile", Variable: "PGPASSFILE", isPath: true},
	{Name: "channel_binding", Variable: "PGCHANNELBINDING", fallback: "prefer", check: oneOf("disable", "prefer", "require")},
	{Name: "connect_timeout", Variable: "PGCONNECT_TIMEOUT", check: isInteger},
	{Name: "dbname", Variable: "PGDATABASE", ownOnly: true},
	{Name: "host", Variable: "PGHOST"},
	{Name: "hostaddr", Variable: "PGHOSTADDR"},
	{Name: "port", Variable: "PGPORT", fallback: "5432"},
	{Name: "client_encoding", Variable: "PGCLIENTENCODING"},
	{Name: "options", Variable: "PGOPTIONS"},
	{Name: "application_name", Variable: "PGAPPNAME"},
	{Name: "fallback_application_name", ownOnly: true},
	{Name: "keepalives", check: isInteger},
	{Name: "keepalives_idle", check: isInteger},
	{Name: "keepalives_interval", check: isInteger},
	{Name: "keepalives_count", check: isInteger},
	{Name: "tcp_user_timeout", check: isInteger},
	{Name: "sslmode", Variable: "PGSSLMODE", fallback: "prefer",
		check: oneOf("disable", "allow", "prefer", "require", "verify-ca", "verify-full")},
	{Name: "sslnegotiation", Variable: "PGSSLNEGOTIATION", Since: 17, fallback: "postgres", check: oneOf("postgres", "direct")},
	{Name: "sslcompression", Variable: "PGSSLCOMPRESSION", Effect: Harmless}, // TLS 1.3 has none, OpenSSL hardly ever
	{Name: "sslcert", Variable: "PGSSLCERT", isPath: true},
	{Name: "sslkey", Variable: "PGSSLKEY", isPath: true},
	{Name: "sslcertmode", Variable: "PGSSLCERTMODE", Since: 16, fallback: "allow", check: oneOf("disable", "allow", "require")},
	{Name: "sslpassword"},
	{Name: "sslrootcert", Variable: "PGSSLROOTCERT", isPath: true},
	{Name: "sslcrl", Variable: "PGSSLCRL", Effect: Refused},
	{Name: "sslcrldir", Variable: "PGSSLCRLDIR", Effect: Refused},
	{Name: "sslsni", Variable: "PGSSLSNI", fallback: "1"},
	{Name: "requirepeer", Variable: "PGREQUIREPEER"},
	{Name: "require_auth", Variable: "PGREQUIREAUTH", Since: 16, check: isRequireAuth},
	{Name: "min_protocol_version", Variable: "PGMINPROTOCOLVERSION", Since: 18, check: oneOf("", "3.0", "3.2", "latest")},
	{Name: "max_protocol_version", Variable: "PGMAXPROTOCOLVERSION", Since: 18, check: oneOf("", "3.0", "3.2", "latest")},
	{Name: "ssl_min_protocol_version", Variable: "PGSSLMINPROTOCOLVERSION", fallback: "TLSv1.2", check: isTLSVersion},
	{Name: "ssl_max_protocol_version", Variable: "PGSSLMAXPROTOCOLVERSION", check: isTLSVersion},
	{Name: "gssencmode", Variable: "PGGSSENCMODE", check: isGSSEncMode}, // there is no GSSAPI here to prefer
	{Name: "krbsrvname", Variable: "PGKRBSRVNAME", Effect: Harmless},
	{Name: "gsslib", Variable: "PGGSSLIB", Effect: Harmless},
	{Name: "gssdelegation", Variable: "PGGSSDELEGATION", Since: 16, Effect: Harmless},
	{Name: "replication", Effect: Harmless, ownOnly: true}, // the program knows
	{Name: "target_session_attrs", Variable: "PGTARGETSESSIONATTRS", fallback: "any",
		check: oneOf("any", "read-write", "read-only", "primary", "standby", "prefer-standby")},
	{Name: "load_balance_hosts", Variable: "PGLOADBALANCEHOSTS", Since: 16, fallback: "disable", check: oneOf("disable", "random")},
	{Name: "scram_client_key", Since: 18, Effect: Refused},
	{Name: "scram_server_key", Since: 18, Effect: Refused},
	{Name: "oauth_issuer", Since: 18, Effect: Refused},
	{Name: "oauth_client_id", Since: 18, Effect: Refused},
	{Name: "oauth_client_secret", Since: 18, Effect: Refused},
	{Name: "oauth_scope", Since: 18, Effect: Refused},
	{Name: "sslkeylogfile", Since: 18, Effect: Refused},
}

// sessionVariables are the variables of the environment that libpq makes settings of
// the session (fe-connect.c, EnvironmentOptions).
var sessionVariables = []struct{ name, setting string }{
	{"PGDATESTYLE", "datestyle"}, {"PGTZ", "timezone"}, {"PGGEQO", "geqo"},
}

// find is the keyword of that name, or nil.
func find(name string) *Keyword {
	i := slices.IndexFunc(keywords, func(k Keyword) bool { return k.Name == name })
	if i < 0 {
		return nil
	}
	return &keywords[i]
}

// valueError says what is wrong with a value, after the keyword's name.
type valueError string

func (e valueError) Error() string { return string(e) }

const errUnsupported = valueError("is not supported")

func quotedValue(value string) valueError {
	return valueError("has the invalid value " + strconv.Quote(value))
}

func oneOf(values ...string) func(string) error {
	return func(value string) error {
		if slices.Contains(values, value) {
			return nil
		}
		return quotedValue(value)
	}
}

func isInteger(value string) error {
	if _, err := parseInteger(value); err != nil {
		return quotedValue(value)
	}
	return nil
}

// parseInteger reads an int as strtol does, with blanks around it.
func parseInteger(value string) (int, error) {
	n, err := strconv.ParseInt(strings.Trim(value, blanks), 10, 32)
	return int(n), err
}

func isGSSEncMode(value string) error {
	if value == "require" {
		return valueError(`has the value "require", but encryption by GSSAPI is not supported`)
	}
	return oneOf("disable", "prefer")(value)
}

// isRequireAuth checks a list of methods of authentication, which pgconn understands
// itself: all of them negated or none, no method twice.
func isRequireAuth(value string) error {
	if value == "" {
		return nil
	}
	methods := strings.Split(value, ",")
	negated := strings.HasPrefix(methods[0], "!")
	known := oneOf("password", "md5", "gss", "sspi", "scram-sha-256", "oauth", "none")
	seen := map[string]bool{}
	for _, method := range methods {
		name, negative := strings.CutPrefix(method, "!")
		switch {
		case known(name) != nil:
			return known(name)
		case negative != negated:
			return valueError("mixes methods that are required with some that are not allowed")
		case seen[name]:
			return valueError("names a method twice: " + strconv.Quote(name))
		}
		seen[name] = true
	}
	return nil
}
