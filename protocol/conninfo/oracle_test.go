package conninfo

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// oracleValues are values of each keyword, right and wrong.
var oracleValues = map[string][]string{
	"service": {"none"}, "user": {"postgres", "nobody"}, "password": {"x", ""}, "passfile": {"/nonexistent", ""},
	"channel_binding": {"disable", "prefer", "require", "bogus", ""}, "connect_timeout": {"3", "0", "-1", " 3 ", "soon", "", "3x", "99999999999"},
	"dbname": {"postgres", "nodb", ""}, "host": {"/nonexistent"}, "hostaddr": {"localhost", "::x", ""}, "port": {"99999", "0", "five", "1,2"},
	"client_encoding": {"auto", "LATIN1", "bogus"}, "options": {"-c geqo=off", "-c nosuch=1", ""}, "application_name": {"x", ""},
	"fallback_application_name": {"x", ""}, "keepalives": {"1", "0"}, "keepalives_idle": {"30"}, "keepalives_interval": {"5"}, "keepalives_count": {"3"},
	"tcp_user_timeout": {"1000"}, "sslmode": {"disable", "allow", "prefer", "require", "verify-ca", "verify-full", "bogus", ""},
	"sslnegotiation": {"postgres", "bogus"}, "sslcompression": {"0", "1"}, "sslcert": {"/nonexistent", ""}, "sslkey": {"/nonexistent", ""},
	"sslcertmode": {"disable", "bogus"}, "sslpassword": {"x"}, "sslrootcert": {"/nonexistent", ""}, "sslcrl": {"/nonexistent", ""}, "sslcrldir": {"/nonexistent", ""},
	"sslsni": {"0", "1", ""}, "requirepeer": {"postgres", "nobody", ""}, "require_auth": {"none", "md5", "bogus"},
	"min_protocol_version": {"3.0", "bogus"}, "max_protocol_version": {"3.0", "latest", "bogus"},
	"ssl_min_protocol_version": {"TLSv1.2", "tlsv1.3", "TLSv1", "bogus", ""}, "ssl_max_protocol_version": {"TLSv1.3", "TLSv1.1", "bogus", ""},
	"gssencmode": {"disable", "prefer", "bogus", ""}, "krbsrvname": {"x"}, "gsslib": {"gssapi"}, "gssdelegation": {"0"},
	"replication": {"false"}, "target_session_attrs": {"any", "read-write", "read-only", "primary", "standby", "prefer-standby", "bogus", ""},
	"load_balance_hosts": {"disable", "random", "bogus"}, "scram_client_key": {"x"}, "scram_server_key": {"x"}, "oauth_issuer": {"x"},
	"oauth_client_id": {"x"}, "oauth_client_secret": {"x"}, "oauth_scope": {"x"}, "sslkeylogfile": {"/nonexistent"},
}

// TestKeywords_AsPsql connects with each keyword and each variable as psql does: both
// do or neither does, but for what is refused here and for what psql does not know yet
// (B06).
func TestKeywords_AsPsql(t *testing.T) {
	asPsql(t, postgres.Require(t))
}

// TestKeywords_AsEveryPsql_Long is TestKeywords_AsPsql for the newest version; as a whole, for all.
func TestKeywords_AsEveryPsql_Long(t *testing.T) {
	longtest.Mark(t)
	all, err := postgres.All()
	if err != nil {
		postgres.Require(t) // skips
	}
	for i, p := range all {
		if p.Major >= 15 && p.Has("psql") && (longtest.Whole() || i == len(all)-1) {
			t.Run(fmt.Sprint(p.Major), func(t *testing.T) { asPsql(t, p) })
		}
	}
}

func asPsql(t *testing.T, p postgres.Programs) {
	ctx := t.Context()
	c := p.NewCluster(t, postgres.InitOptions{})
	must(t, c.Start(ctx))
	base := map[string]string{"host": c.SocketDir, "port": fmt.Sprint(c.Port), "user": "postgres", "dbname": "postgres"}
	for _, k := range keywords {
		if len(oracleValues[k.Name]) == 0 {
			t.Errorf("%s is not tried", k.Name)
		}
		for _, text := range oracleValues[k.Name] {
			for _, variable := range []string{"", k.Variable} {
				var connString strings.Builder
				for name, value := range base {
					if name != k.Name {
						connString.WriteString(name + "=" + quoteValue(value) + " ")
					}
				}
				cmd := p.Command(ctx, "psql", "-XAtwq", "-c", "select 1", "-d")
				what := k.Name + "=" + text
				if variable == "" {
					connString.WriteString(k.Name + "=" + quoteValue(text))
				} else {
					what = variable + "=" + text
					t.Setenv(variable, text)
					cmd.Env = append(cmd.Env, what)
				}
				cmd.Args = append(cmd.Args, connString.String())
				said, theirs := cmd.CombinedOutput()
				ours := tryConnect(t, connString.String())
				if variable != "" {
					os.Unsetenv(variable)
				}
				switch {
				case k.Effect == Refused && text != "":
					if ours == nil || !strings.Contains(ours.Error(), k.Name) {
						t.Errorf("%s: error %v, want one that names %s", what, ours, k.Name)
					}
				case k.Since > p.Major:
					if wrong := text == "bogus" || text == "md5"; wrong == (ours == nil) {
						t.Errorf("%s: error %v", what, ours)
					}
				case (ours == nil) != (theirs == nil):
					t.Errorf("%s: error %v, psql says %s", what, ours, said)
				}
			}
		}
	}
}

func tryConnect(t *testing.T, connString string) error {
	info, err := Resolve(connString, Options{})
	if err != nil {
		return err
	}
	configs, err := info.Configs()
	if err != nil {
		return err
	}
	conn, _, err := Connect(t.Context(), configs)
	if err == nil {
		must(t, conn.Close(t.Context()))
	}
	return err
}

// passwordSpy is a server that asks for a password and ends the session with it. It
// tells what it was given, or that it was not.
func passwordSpy(t *testing.T, dir string) (asked func() string) {
	l, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	must(t, err)
	must(t, os.Chmod(l.Addr().String(), 0o777))
	got := make(chan string, 1)
	done := make(chan struct{})
	go func() { // ends with the listener
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			got <- askForPassword(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return func() string {
		select {
		case password := <-got:
			return password
		case <-time.After(time.Minute):
			t.Fatal("nobody connects")
			return ""
		}
	}
}

func askForPassword(c net.Conn) string {
	b := pgproto3.NewBackend(c, c)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return err.Error()
	}
	b.Send(&pgproto3.AuthenticationCleartextPassword{})
	if err := b.Flush(); err != nil {
		return err.Error()
	}
	if err := b.SetAuthType(pgproto3.AuthTypeCleartextPassword); err != nil {
		return err.Error()
	}
	message, err := b.Receive()
	if password, ok := message.(*pgproto3.PasswordMessage); ok && err == nil {
		return password.Password
	}
	return ""
}

// TestFindPassword_AsPsql compares the lines of B23 with what psql sends.
func TestFindPassword_AsPsql(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	dir := p.TempDir(t)
	asked := passwordSpy(t, dir)
	for _, line := range []string{
		"*:*:*:*:ab ", `*:*:*:*:x\y`, "*:*:*:*:abc:", "*:*:*:*:pa:ss", `*:*:*:*:pa\:ss`, `*:*:*:*:pass\`, " *:*:*:*:abc", "*:*:*:*:abc\r",
		"#*:*:*:*:abc", "localhost:*:*:*:abc", "DIR:*:*:*:abc", "DIR:5432:*:*:abc", "DIR:5433:*:*:abc", "*:*:postgres:*:abc", "*:*:replication:*:abc",
		"**:*:*:*:abc", `*:\5432:*:u:abc`, "*:*:*:u", "*:*:*:u:first\n*:*:*:u:second", "\n\n*:*:*:u:abc", "*:*:*:*:" + strings.Repeat("x", 500),
	} {
		text := strings.ReplaceAll(line, "DIR", dir)
		name := filepath.Join(dir, "pgpass")
		must(t, os.WriteFile(name, []byte(text), 0o600))
		must(t, p.Own(name))
		connString := "host=" + dir + " user=u dbname=postgres passfile=" + name
		if err := p.Command(ctx, "psql", "-Xw", "-d", connString).Run(); err == nil {
			t.Fatal("psql got a session")
		}
		info, err := Resolve(connString, Options{})
		must(t, err)
		if want, got := asked(), info.servers[0].password; got != want {
			t.Errorf("%q: got %q, psql sends %q", line, got, want)
		}
	}
}

// TestResolve_PrecedenceAsPsql compares which user wins, of string, service file and
// variable.
func TestResolve_PrecedenceAsPsql(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	dir := p.TempDir(t)
	asked := passwordSpy(t, dir)
	services := filepath.Join(dir, "services")
	must(t, os.WriteFile(services, []byte("[bk]\nhost="+dir+"\npassword=service\nuser=u\n"), 0o644))
	env := map[string]string{"PGSERVICEFILE": services, "PGPASSWORD": "variable"}
	for _, connString := range []string{"service=bk", "service=bk password=string", "service=bk password=", "user=u host=" + dir} {
		cmd := p.Command(ctx, "psql", "-Xw", "-d", connString)
		for name, text := range env {
			t.Setenv(name, text)
			cmd.Env = append(cmd.Env, name+"="+text)
		}
		if err := cmd.Run(); err == nil {
			t.Fatal("psql got a session")
		}
		info, err := Resolve(connString, Options{})
		must(t, err)
		if want, got := asked(), info.servers[0].password; got != want {
			t.Errorf("%s: got %q, psql sends %q", connString, got, want)
		}
	}
}

// What pg_basebackup -R writes has the same settings, in the same order and quoted in
// the same way, between libpq's defaults, which it writes as well.
func TestPrimaryConnInfo_AsPgBasebackup(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	must(t, c.Start(ctx))
	dir := p.TempDir(t)
	services, pass := filepath.Join(dir, "services"), filepath.Join(dir, "pgpass")
	must(t, os.WriteFile(services, []byte("[bk]\nsslmode=disable\nsslrootcert=/x\napplication_name=east1\nconnect_timeout=3\nkeepalives_idle=7\n"), 0o644))
	must(t, os.WriteFile(pass, []byte("*:*:*:*:sekret\n"), 0o600))
	must(t, p.Own(pass))
	t.Setenv("PGSERVICEFILE", services)
	for n, test := range []struct{ options, variable, text string }{
		{options: `application_name='it\'s \\ "me"' connect_timeout=7 password=secret sslmode=disable options='-c geqo=off'`},
		{options: "service=bk", variable: "PGPASSFILE", text: pass},
		{options: "service=bk application_name=mine requirepeer=postgres", variable: "PGPASSWORD", text: "secret"},
		{options: "target_session_attrs=read-write tcp_user_timeout=1 gssencmode=disable krbsrvname=x sslcompression=0", variable: "PGSSLMODE", text: "allow"},
	} {
		connString := c.ConnString("postgres") + " " + test.options
		copied := filepath.Join(dir, fmt.Sprint("copy", n))
		cmd := p.Command(ctx, "pg_basebackup", "-d", connString, "-D", copied, "-R", "-N", "-c", "fast", "-X", "none")
		cmd.Env = append(cmd.Env, "PGSERVICEFILE="+services)
		if test.variable != "" {
			t.Setenv(test.variable, test.text)
			cmd.Env = append(cmd.Env, test.variable+"="+test.text)
		}
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		ours := resolve(t, connString).PrimaryConnInfo(p.Major >= 17)
		if test.variable != "" {
			os.Unsetenv(test.variable)
		}
		text, err := os.ReadFile(filepath.Join(copied, "postgresql.auto.conf"))
		must(t, err)
		_, theirs, _ := strings.Cut(string(text), "primary_conninfo = ")
		rest := strings.NewReplacer(`''`, `'`, `\\`, `\`).Replace(theirs)
		for _, pair := range pairs(t, ours) {
			i := strings.Index(rest, pair)
			if i < 0 {
				t.Errorf("%s: no %s in what pg_basebackup writes: %s\nWe write: %s", test.options, pair, theirs, ours)
				break
			}
			rest = rest[i+len(pair):]
		}
	}
}

// pairs are the settings of a connection string as they are quoted, in libpq's order.
func pairs(t *testing.T, connString string) (list []string) {
	set, err := parse(connString)
	must(t, err)
	for _, k := range keywords {
		if text, has := set[k.Name]; has {
			list = append(list, k.Name+"="+quoteValue(text))
		}
	}
	return list
}
