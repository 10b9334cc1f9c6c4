package conninfo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestParse(t *testing.T) {
	type set = map[string]string
	for connString, want := range map[string]set{
		"":                                      {},
		" \t\n":                                 {},
		"host=a port=5":                         {"host": "a", "port": "5"},
		" host = a\tport\n=\r5 ":                {"host": "a", "port": "5"},
		"host='a b' user=c":                     {"host": "a b", "user": "c"},
		"host='a'user=c":                        {"host": "a", "user": "c"},
		`user='it\'s' password = 'p w\\'`:       {"user": "it's", "password": `p w\`},
		`user=it\'s\ me host=`:                  {"user": "it's me", "host": ""},
		`user=a\`:                               {"user": "a"},
		"host=a host=b":                         {"host": "b"},
		"requiressl=1":                          {"sslmode": "require"},
		"postgres://":                           {},
		"postgresql:///mydb?host=localhost":     {"dbname": "mydb", "host": "localhost"},
		"postgresql://u:p%40@h:7/db":            {"user": "u", "password": "p@", "host": "h", "port": "7", "dbname": "db"},
		"postgres://u@%2Fsrv%2Frun:5433/?":      {"user": "u", "host": "/srv/run", "port": "5433"},
		"postgres://w:p?w@c:6/x":                {"user": "w", "password": "p?w", "host": "c", "port": "6", "dbname": "x"},
		"postgres://[::1]:1,b,[fe80::1%25x]:3/": {"host": "::1,b,fe80::1%x", "port": "1,,3"},
		"postgres://a,b":                        {"host": "a,b", "port": ","},
		"postgres://h?ssl=true&options=-c%20geqo%3Doff": {"host": "h", "sslmode": "require", "options": "-c geqo=off"},
	} {
		got, err := parse(connString)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", connString, err, diff)
		}
	}
}

// A message names the keyword, and shows nothing that may be a password, wherever a
// password that was not quoted or encoded ends up (Part II 19).
func TestResolve_Errors(t *testing.T) {
	for connString, want := range map[string]string{
		"hots=a":                             `invalid connection option "hots"`,
		"sslmod=verify-full":                 `invalid connection option "sslmod"`,
		"postgresql://?sslrotcert=/x":        `invalid connection option "sslrotcert"`,
		"postgresql://?ssl=false":            `invalid connection option "ssl"`,
		"servicefile=/x":                     `invalid connection option "servicefile"`,
		"search_path=x":                      `invalid connection option "search_path"`,
		"mydb":                               `missing "=" after "mydb" in connection string`,
		"host='a":                            "unterminated quoted string in connection string",
		"host=a\x00b":                        "a connection string cannot hold a zero byte",
		"postgres://[::1":                    `missing "]" after the IPv6 address in the connection URI`,
		"postgres://[]":                      "the IPv6 address in the connection URI is empty",
		"postgres://[::1]x":                  `expected ":" or "/" after the IPv6 address in the connection URI`,
		"postgres://%zz":                     "invalid percent-encoding in the host of the connection URI",
		"postgres://h/%00":                   "forbidden value %00 in the dbname of the connection URI",
		"postgres://h?host":                  `missing "=" after "host" in the connection URI`,
		"postgres://h?host=a=b":              `a second "=" in the value of "host" in the connection URI`,
		"sslmode=bogus":                      `connection option "sslmode" has the invalid value "bogus"`,
		"sslmode=":                           `connection option "sslmode" has the invalid value ""`,
		"connect_timeout=soon":               `connection option "connect_timeout" has the invalid value "soon"`,
		"keepalives_idle=1x":                 `connection option "keepalives_idle" has the invalid value "1x"`,
		"gssencmode=require":                 `connection option "gssencmode" has the value "require", but encryption by GSSAPI is not supported`,
		"sslcrl=/x":                          `connection option "sslcrl" is not supported`,
		"oauth_scope=x":                      `connection option "oauth_scope" is not supported`,
		"require_auth=!none,md5":             `connection option "require_auth" mixes methods that are required with some that are not allowed`,
		"require_auth=md5,md5":               `connection option "require_auth" names a method twice: "md5"`,
		"require_auth=pw":                    `connection option "require_auth" has the invalid value "pw"`,
		"sslrootcert=system sslmode=require": `weak sslmode "require" cannot be used with sslrootcert=system (use "verify-full")`,
		"sslnegotiation=direct":              `weak sslmode "prefer" cannot be used with sslnegotiation=direct (use "require", "verify-ca" or "verify-full")`,
		"ssl_max_protocol_version=TLSv1.1":   "invalid range of TLS protocol versions: TLSv1.2 to TLSv1.1",
		"min_protocol_version=3.2 max_protocol_version=3.0": "min_protocol_version 3.2 is above max_protocol_version 3.0",
		"hostaddr=localhost":                            `could not parse network address "localhost"`,
		"host=a,b hostaddr=127.0.0.1":                   "could not match 2 host names to 1 hostaddr values",
		"host=a,b port=1,2,3":                           "could not match 3 port numbers to 2 hosts",
		"host=a port=99999":                             `invalid port number for host "a": it is not in the range 1 to 65535`,
		"port=five host=a":                              `invalid port number for host "a": it is not in the range 1 to 65535`,
		"host=x password = topsecret sslmode=bogus":     `connection option "sslmode" has the invalid value "bogus"`,
		"host=x password = topsecret hots=y":            "invalid connection option after the password (a password with blanks in it must be quoted)",
		"password=not topsecret":                        "invalid connection option after the password (a password with blanks in it must be quoted)",
		"password=not topsecret=1":                      "invalid connection option after the password (a password with blanks in it must be quoted)",
		"password='topsecret":                           "unterminated quoted string in connection string",
		"postgres://u:top%secret@h":                     "invalid percent-encoding in the password of the connection URI",
		"postgres://u:topsecret/x@h:7/db":               `invalid port number for host "u": it is not in the range 1 to 65535`,
		"postgres://u:p@h?password=topsecret=topsecret": `a second "=" in the value of "password" in the connection URI`,
	} {
		_, err := Resolve(connString, Options{})
		if err == nil || err.Error() != want {
			t.Errorf("%s: error is %v, want %s", connString, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: the error shows the password: %v", connString, err)
		}
	}
}

// FuzzParse compares with pgconn, where it reads as libpq does, and reads back what is
// written.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a", "'a b'", `'it\'s'`, `a\ b`, "''", `\`, "", "é", "a b=c", "%2F"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		set, err := parse("user=u options=" + s)
		config, theirs := pgconn.ParseConfig("host=/x user=u options=" + s)
		if err == nil && theirs == nil && set["options"] != config.RuntimeParams["options"] {
			t.Errorf("%q: got %q, pgconn has %q", s, set["options"], config.RuntimeParams["options"])
		}
		if err == nil && theirs != nil && len(set) == 2 {
			t.Errorf("%q: got %q, pgconn has the error %v", s, set["options"], theirs)
		}
		if strings.IndexByte(s, 0) >= 0 {
			return
		}
		set, err = parse("user=" + quoteValue(s) + " port=1")
		if err != nil || set["user"] != s {
			t.Errorf("%q: read back as %q, %v", s, set["user"], err)
		}
		if _, err := parse("postgres://" + s); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error of two lines: %v", s, err)
		}
	})
}
