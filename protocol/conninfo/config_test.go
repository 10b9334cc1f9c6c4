package conninfo

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestConfigs_Servers lists what is connected to: pgconn's host and port, the address,
// and how often without TLS and with it.
func TestConfigs_Servers(t *testing.T) {
	socket := defaultSocketDir()
	for connString, want := range map[string]string{
		"":                                              socket + ":5432 plain",
		"host=/tmp port=7":                              "/tmp:7 plain",
		"host=127.0.0.1":                                "127.0.0.1:5432 tls plain",
		"host=127.0.0.1 sslmode=disable":                "127.0.0.1:5432 plain",
		"host=127.0.0.1 sslmode=allow":                  "127.0.0.1:5432 plain tls",
		"host=127.0.0.1 sslmode=require":                "127.0.0.1:5432 tls",
		"host=/tmp sslmode=verify-full":                 "/tmp:5432 plain",
		"host=127.0.0.1,/tmp,::1 port=1,2,":             "127.0.0.1:1 tls plain; /tmp:2 plain; ::1:5432 tls plain",
		"host=,/tmp":                                    socket + ":5432 plain; /tmp:5432 plain",
		"hostaddr=127.0.0.77 port=1":                    "127.0.0.77:1 tls plain",
		"host=nowhere.invalid hostaddr=::1":             "nowhere.invalid=::1:5432 tls plain",
		"host=a,a hostaddr=10.0.0.1,10.0.0.2":           "a=10.0.0.1:5432 tls plain; a=10.0.0.2:5432 tls plain",
		"host=/tmp hostaddr=127.0.0.1":                  "127.0.0.1:5432 tls plain",
		"host=/tmp target_session_attrs=prefer-standby": "/tmp:5432 plain checked; /tmp:5432 plain",
		"host=/tmp target_session_attrs=primary":        "/tmp:5432 plain checked",
	} {
		configs, err := resolve(t, connString).Configs()
		must(t, err)
		var got []string
		for _, c := range configs {
			name := c.Host
			if addresses, err := c.LookupFunc(t.Context(), c.Host); !isSocket(c.Host) && (err != nil || addresses[0] != c.Host) {
				must(t, err)
				name += "=" + strings.Join(addresses, "+")
			}
			text := fmt.Sprintf("%s:%d %s", name, c.Port, map[bool]string{true: "tls", false: "plain"}[c.TLSConfig != nil])
			for _, f := range c.Fallbacks {
				text += " " + map[bool]string{true: "tls", false: "plain"}[f.TLSConfig != nil]
				if f.Host != c.Host || f.Port != c.Port {
					t.Errorf("%s: falls back to %s:%d", connString, f.Host, f.Port)
				}
			}
			if c.ValidateConnect != nil {
				text += " checked"
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", connString, diff)
		}
	}
}

func TestConfigs_Parameters(t *testing.T) {
	t.Setenv("PGTZ", "Europe/Vienna")
	t.Setenv("PGDATESTYLE", "default")
	t.Setenv("PGAPPNAME", "of the environment")
	info, err := Resolve("host=a user=u dbname=d options=-cgeqo=off client_encoding=auto connect_timeout=1 require_auth=md5 channel_binding=disable",
		Options{Replication: true, ApplicationName: "pgparallel"})
	must(t, err)
	configs, err := info.Configs()
	must(t, err)
	c := configs[0]
	want := map[string]string{
		"replication": "true", "application_name": "of the environment", "options": "-cgeqo=off", "client_encoding": "UTF8",
		"timezone": "Europe/Vienna",
	}
	if diff := cmp.Diff(want, c.RuntimeParams); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	got := fmt.Sprint(c.User, c.Database, c.ConnectTimeout, c.RequireAuth, c.ChannelBinding, c.MinProtocolVersion, c.MaxProtocolVersion)
	if want := fmt.Sprint("u", "d", 2*time.Second, "md5", "disable", "3.0", "3.0"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for connString, want := range map[string]string{
		"": "pgparallel", "application_name=x": "x", "fallback_application_name=y": "y", "application_name=x fallback_application_name=y": "x",
	} {
		t.Setenv("PGAPPNAME", "")
		info, err := Resolve(connString, Options{ApplicationName: "pgparallel"})
		must(t, err)
		if got := info.runtimeParams()["application_name"]; got != want {
			t.Errorf("%s: application_name %q, want %q", connString, got, want)
		}
	}
}

// A value comes from the first that has one; an empty one counts as one in strings and
// variables, as in libpq.
func TestResolve_Sources(t *testing.T) {
	t.Setenv("PGSERVICEFILE", write(t, "services", "[bk]\nhost=/service\nuser=service\nport=2\n"))
	t.Setenv("PGSERVICE", "bk")
	t.Setenv("PGHOST", "/environment")
	t.Setenv("PGUSER", "environment")
	t.Setenv("PGPORT", "3")
	t.Setenv("PGAPPNAME", "environment")
	t.Setenv("PGREQUIRESSL", "1")
	info, err := Resolve("user=string dbname=", Options{Settings: map[string]string{"host": "/program", "port": ""}})
	must(t, err)
	for keyword, want := range map[string]value{
		"host": {"/program", FromProgram}, "user": {"string", FromString}, "port": {"2", FromService},
		"application_name": {"environment", FromEnvironment}, "sslmode": {"require", FromEnvironment},
		"channel_binding": {"prefer", FromDefaults}, "dbname": {"string", FromDefaults}, "sslcrl": {"", FromNowhere},
	} {
		if text, source := info.Value(keyword); text != want.text || source != want.source {
			t.Errorf("%s is %q (%d), want %q (%d)", keyword, text, source, want.text, want.source)
		}
	}
	t.Setenv("PGSSLCRL", "/x")
	if _, err := Resolve("", Options{}); err == nil || err.Error() != `connection option "sslcrl" (PGSSLCRL) is not supported` {
		t.Errorf("error is %v", err)
	}
}

// The socket belongs to whom requirepeer names, or there is no connection (B06).
func TestDial_Requirepeer(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", dir+"/.s.PGSQL.5432")
	must(t, err)
	defer l.Close()
	me, err := effectiveUser()
	must(t, err)
	for name, want := range map[string]string{me.Username: "", "": "", "nobody": `requirepeer specifies "nobody", but actual peer user name is "` + me.Username + `"`} {
		configs, err := resolve(t, "host="+dir+" requirepeer="+name).Configs()
		must(t, err)
		c, err := configs[0].DialFunc(t.Context(), "unix", dir+"/.s.PGSQL.5432")
		if err == nil {
			c.Close()
		}
		if (want == "") != (err == nil) || err != nil && err.Error() != want {
			t.Errorf("requirepeer=%s: %v", name, err)
		}
	}
}

// Whatever is asked for is set on the connection; keepalives are those of §7.2 where
// nothing is.
func TestDial_7_2_Keepalives(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	for options, want := range map[string]string{
		"": "1 30 10 3 0",
		"keepalives=1 keepalives_idle=7 keepalives_interval=6 keepalives_count=5": "1 7 6 5 0",
		"keepalives=0":          "0",
		"tcp_user_timeout=4000": "1 30 10 3 4000",
	} {
		configs, err := resolve(t, "host=127.0.0.1 "+options).Configs()
		must(t, err)
		c, err := configs[0].DialFunc(t.Context(), "tcp", l.Addr().String())
		must(t, err)
		if got := socketOptions(t, c.(*net.TCPConn)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", options, got, want)
		}
		must(t, c.Close())
	}
}

func TestSessionCheck(t *testing.T) {
	for attrs, want := range map[string]string{ // read-write primary, read-only primary, standby
		"read-write": "+--", "read-only": "-++", "primary": "++-", "standby": "--+", "prefer-standby": "--+",
	} {
		got := ""
		for _, server := range []struct{ standby, readOnly bool }{{false, false}, {false, true}, {true, true}} {
			got += map[bool]string{true: "+", false: "-"}[checkSession(attrs, server.standby, server.readOnly) == nil]
		}
		if got != want {
			t.Errorf("%s: %s, want %s", attrs, got, want)
		}
	}
	if sessionCheck("any") != nil {
		t.Error("any session is looked at")
	}
}
