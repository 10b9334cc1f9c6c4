package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// connectionOptions are those of every program that connects to a server.
type connectionOptions struct {
	Dbname   string `short:"d"`
	Host     string `short:"h"`
	Port     string `short:"p"` // libpq takes lists, too
	Username string `short:"U"`

	NoPassword bool `short:"w"`
	Password   bool `short:"W"`
}

// config is where to connect to: what the options say, then the connection
// string, then the service file, then the environment, then libpq's defaults. The
// password file is read as it is for pg_basebackup, with "replication" as the
// database.
func (o connectionOptions) config() (*pgconn.Config, error) {
	config, err := pgconn.ParseConfig(o.connString())
	if err != nil {
		return nil, fmt.Errorf("invalid connection options: %w", err)
	}
	return config, nil
}

// connString is the connection string with the other options behind it: in both of
// its forms the last setting of a parameter counts.
func (o connectionOptions) connString() string {
	parameters := []struct{ name, value string }{
		{"host", o.Host}, {"port", o.Port}, {"user", o.Username}, {"dbname", "replication"},
	}
	var s strings.Builder
	s.WriteString(o.Dbname)
	separator, isURI := uriSeparator(o.Dbname)
	for _, p := range parameters {
		switch {
		case p.value == "":
		case isURI:
			s.WriteString(separator + p.name + "=" + strings.ReplaceAll(url.QueryEscape(p.value), "+", "%20"))
			separator = "&"
		default:
			s.WriteString(" " + p.name + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(p.value) + "'")
		}
	}
	return s.String()
}

// uriSeparator is what comes between a connection URI and a further parameter; it
// reports false for a string of keywords and values.
func uriSeparator(s string) (separator string, isURI bool) {
	scheme, rest, _ := strings.Cut(s, "://")
	if scheme != "postgres" && scheme != "postgresql" {
		return "", false
	}
	// A question mark before the @ belongs to the password.
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		rest = rest[i+1:]
	}
	switch _, query, found := strings.Cut(rest, "?"); {
	case !found:
		return "?", true
	case query == "":
		return "", true
	default:
		return "&", true
	}
}
