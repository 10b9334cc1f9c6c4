package auth_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/auth"
)

// TestRules_1_10_First matches connections against rules whose methods are trust and
// reject, and compares the texts with PostgreSQL's.
func TestRules_1_10_First(t *testing.T) {
	const rules = `
# TYPE  DATABASE        USER            ADDRESS                 METHOD
local   all             all                                     trust
host    all             all             0.0.0.0/0               reject
host	replication,all	"all","quoted name"	127.0.0.1/32	trust
host "replication" all 127.0.0.0/8 trust
local   replication     postgres, /^ba(ck)?up$                  trust commands=backup
hostssl replication     +admins         192.0.2.0 255.255.255.0 trust insecure=1 monitor=1
hostnossl replication   all             192.0.2.7/24            reject
host    replication     plus            samehost                trust \
        commands=passthrough
host    replication     net             samenet                 trust insecure=1
host    replication     six             2001:db8::/32           trust insecure="1" # comment
host    replication     "+admins"       192.0.2.0/24            trust insecure=1
local   replication     +nobody         trust
`
	users := userLines(t, []string{"alice", "x", "admins"})
	a := open(t, rules, users, "")
	if diff := cmp.Diff([]int{3, 4, 6, 15}, a.Ignored()); diff != "" {
		t.Errorf("lines ignored (-want +got):\n%s", diff)
	}
	all := walsender.Grant{Backup: true, PassThrough: true}
	local := &net.UnixAddr{Net: "unix"}
	at := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip)} }
	secured := &tls.ConnectionState{}
	for _, test := range []struct {
		user   string
		remote net.Addr
		tls    *tls.ConnectionState
		want   walsender.Grant
		err    string
	}{
		{"postgres", local, nil, walsender.Grant{Backup: true}, ""},
		{"backup", local, nil, walsender.Grant{Backup: true}, ""},
		{"baup", local, nil, walsender.Grant{Backup: true}, ""},
		{"backups", local, nil, walsender.Grant{}, `no pg_hba.conf entry for replication connection from host "[local]", user "backups", no encryption`},
		{"all", at("127.0.0.1"), nil, all, ""},
		{"quoted name", at("127.0.0.1"), nil, all, ""},
		{"other", at("127.0.0.1"), nil, walsender.Grant{}, `no pg_hba.conf entry for replication connection from host "127.0.0.1", user "other", no encryption`},
		{"all", at("127.0.0.2"), nil, walsender.Grant{}, `no pg_hba.conf entry for replication connection from host "127.0.0.2", user "all", no encryption`},
		{"alice", at("192.0.2.1"), secured, walsender.Grant{Backup: true, PassThrough: true, Monitor: true}, ""},
		{"alice", at("::ffff:192.0.2.1"), secured, walsender.Grant{Backup: true, PassThrough: true, Monitor: true}, ""},
		{"alice", at("192.0.2.1"), nil, walsender.Grant{}, `pg_hba.conf rejects replication connection for host "192.0.2.1", user "alice", no encryption`},
		{"bob", at("192.0.2.1"), secured, walsender.Grant{}, `no pg_hba.conf entry for replication connection from host "192.0.2.1", user "bob", SSL encryption`},
		{"+admins", at("192.0.2.1"), secured, all, ""},
		{"alice", at("192.0.3.1"), secured, walsender.Grant{}, `no pg_hba.conf entry for replication connection from host "192.0.3.1", user "alice", SSL encryption`},
		{"plus", at("127.0.0.1"), nil, walsender.Grant{PassThrough: true}, ""},
		{"plus", at("::1"), nil, walsender.Grant{PassThrough: true}, ""},
		{"net", at("127.255.0.1"), nil, all, ""},
		{"plus", at("127.255.0.1"), nil, walsender.Grant{}, `no pg_hba.conf entry for replication connection from host "127.255.0.1", user "plus", no encryption`},
		{"six", at("2001:db8:1::1"), nil, all, ""},
		{"six", at("2001:db9::1"), nil, walsender.Grant{}, `no pg_hba.conf entry for replication connection from host "2001:db9::1", user "six", no encryption`},
	} {
		h := &walsender.Handshake{User: test.user, Remote: test.remote, TLS: test.tls}
		grant, err := a.Authenticate(context.Background(), h)
		grant.Method = ""
		if grant != test.want {
			t.Errorf("%s from %s: granted %+v, want %+v", test.user, test.remote, grant, test.want)
		}
		if text := errorText(err); !strings.HasPrefix(text, test.err) || (test.err == "") != (text == "") {
			t.Errorf("%s from %s: %s, want %s", test.user, test.remote, text, test.err)
		} else if strings.HasPrefix(text, "no pg_hba.conf entry") && !strings.HasSuffix(text, `/hba.conf" fits)`) {
			t.Errorf("%s from %s: the log does not name the file: %s", test.user, test.remote, text)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return strings.TrimPrefix(err.Error(), "FATAL: ")
}

// TestRules_Errors tells all that is wrong with a file at once, each with its line.
func TestRules_Errors(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"type":            {"hosts replication all all trust", `invalid connection type "hosts"`},
		"gss":             {"hostgssenc replication all all trust", `hostgssenc record cannot match because GSSAPI is not supported`},
		"include":         {"include other.conf", `include is not supported`},
		"short":           {"host replication all", `end of line before address`},
		"no method":       {"local replication all", `end of line before authentication method`},
		"no mask":         {"host replication all 10.0.0.1", `end of line before netmask`},
		"mask":            {"host replication all 10.0.0.1 255.0.255.0 reject", `invalid IP mask "255.0.255.0": it has holes`},
		"mask of six":     {"host replication all 10.0.0.1 ffff:: reject", `invalid IP mask "ffff::"`},
		"bits":            {"host replication all 10.0.0.0/33 reject", `invalid CIDR mask in address "10.0.0.0/33"`},
		"name":            {"host replication all db.example reject", `invalid address "db.example": host names are not supported`},
		"two addresses":   {"host replication all 10.0.0.0/8,10.0.0.0/9 reject", `multiple values in "10.0.0.0/8,10.0.0.0/9", where one is allowed`},
		"md5":             {"local replication all md5", `authentication method "md5" is not supported: write scram-sha-256, and set passwords anew that were stored as MD5`},
		"ldap":            {"local replication all ldap", `invalid authentication method "ldap"`},
		"open":            {"host replication all 10.0.0.0/8 trust", `trust lets everybody in who can send packets from these addresses: say insecure=1 behind it if that is meant`},
		"open to all":     {"host replication all all trust", `trust lets everybody in who can send packets from these addresses: say insecure=1 behind it if that is meant`},
		"half a loopback": {"host replication all 126.0.0.0/7 trust", `trust lets everybody in who can send packets from these addresses: say insecure=1 behind it if that is meant`},
		"insecure":        {"local replication all peer insecure=1", `insecure is an option of trust`},
		"peer":            {"host replication all 10.0.0.0/8 peer", `peer authentication is only supported on local sockets`},
		"cert":            {"host replication all 10.0.0.0/8 cert", `cert authentication is only supported on hostssl connections`},
		"plus":            {"host replication all 10.0.0.0/8 scram-sha-256-plus", `channel binding is only supported on hostssl connections`},
		"clientcert":      {"host replication all 10.0.0.0/8 scram-sha-256 clientcert=verify-ca", `clientcert can only be configured for "hostssl" rows`},
		"cert of anybody": {"hostssl replication all all cert clientcert=verify-ca", `clientcert only accepts "verify-full" when using "cert" authentication`},
		"map":             {"hostssl replication all all cert map=nodes", `there is no map "nodes"`},
		"map of scram":    {"hostssl replication all all scram-sha-256 map=nodes", `authentication option "map" is only valid for authentication methods peer and cert`},
		"option":          {"local replication all peer ldapserver=x", `unrecognized authentication option name: "ldapserver"`},
		"no value":        {"local replication all peer map", `authentication option not in name=value format: map`},
		"commands":        {"local replication all peer commands=some", `invalid value for commands: "some"`},
		"monitor":         {"local replication all peer monitor=yes", `invalid value for monitor: "yes"`},
		"expression":      {"local replication /( peer", "invalid regular expression \"(\": error parsing regexp: missing closing ): `(`"},
		"file":            {"local replication @users peer", `a list of users in a file (@users) is not supported: use a +group of the users file`},
		"quote":           {`local replication "all peer`, `unterminated quoted string`},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, "hba.conf", "# first line\n\n"+test.text+"\n"+"local replication all nothing\n")
			_, err := auth.Open(auth.Config{HBA: file, Users: write(t, "users.txt", userLines(t, []string{"a", "b"})), TLS: true, ClientCA: true})
			want := `line 3 of "` + file + `": ` + test.want
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Fatalf("%v\nwant %s", err, want)
			}
			if !strings.Contains(err.Error(), "\nline 4 of ") {
				t.Errorf("the error of line 4 is not told: %v", err)
			}
		})
	}
}

// TestRules_Needs refuses rules that need what is not there.
func TestRules_Needs(t *testing.T) {
	for text, want := range map[string]string{
		"hostssl replication all all reject":      "hostssl record cannot match because TLS is not configured",
		"local replication all scram-sha-256":     "scram-sha-256 needs passwords, and none are configured",
		"hostssl replication all all cert":        "hostssl record cannot match because TLS is not configured",
		"local replication all peer \\":           "the last line goes on with a backslash",
		"local replication all scram-sha-256 x=1": `unrecognized authentication option name: "x"`,
	} {
		_, err := auth.Open(auth.Config{HBA: write(t, "hba.conf", text)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	through := func(context.Context, *walsender.Handshake) error { return nil }
	_, err := auth.Open(auth.Config{HBA: write(t, "hba.conf", "local replication all scram-sha-256\nhostssl replication all all scram-sha-256-plus"), PassThrough: through, TLS: true})
	if text := errorText(err); !strings.HasPrefix(text, "line 2 of ") || !strings.HasSuffix(text, "the exchange cannot be handed through to PostgreSQL with channel binding") {
		t.Errorf("channel binding, handed through: %v", err)
	}
	lookup := func(context.Context, string) (string, int, error) { return "", 0, nil }
	_, err = auth.Open(auth.Config{HBA: write(t, "hba.conf", "local replication all scram-sha-256"), PassThrough: through, Lookup: lookup})
	if err == nil || !strings.Contains(err.Error(), "Lookup and PassThrough exclude each other") {
		t.Errorf("two who know the passwords: %v", err)
	}
	_, err = auth.Open(auth.Config{HBA: write(t, "hba.conf", "hostssl replication all all cert"), TLS: true})
	if err == nil || !strings.Contains(err.Error(), "a root certificate store is available") {
		t.Errorf("cert without an authority: %v", err)
	}
}

// TestTrust lets everybody in from everywhere, by name only.
func TestTrust(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	must(t, err)
	serveOn(t, &walsender.Server{Authenticator: auth.Trust{}}, l)
	if err := connect(t, fmt.Sprintf("host=127.0.0.1 port=%d user=anybody sslmode=disable replication=true", l.Addr().(*net.TCPAddr).Port)); err != nil {
		t.Error(err)
	}
}
