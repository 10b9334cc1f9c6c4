package conninfo

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A standby is told what the user gave, by whichever way (Part II 13, 14; B22; F of the
// tap's).
func TestPrimaryConnInfo(t *testing.T) {
	pass := write(t, "pgpass", "*:*:*:passer:sekret\n")
	t.Setenv("PGSERVICEFILE", write(t, "services", `[bk]
host=/run
port=5433
user=passer
sslmode=require
sslrootcert=/x
application_name=east1
connect_timeout=3
keepalives_idle=7
require_auth=scram-sha-256,none
dbname=db
`))
	work, err := filepath.Abs("rel.crt")
	must(t, err)
	for connString, want := range map[string]string{
		"host=/tmp user=postgres":                  "user=postgres host='/tmp' port=5432",
		"host=a,b port=1,2 user=u sslmode=disable": "user=u host='a,b' port='1,2' sslmode=disable",
		"host=a hostaddr=127.0.0.1 user=u":         "user=u host=a hostaddr=127.0.0.1 port=5432",
		"hostaddr=10.0.0.1,10.0.0.2 user=u":        "user=u hostaddr='10.0.0.1,10.0.0.2' port=5432",
		"user=u":                                   "user=u host='" + defaultSocketDir() + "' port=5432",
		`host=a user='it\'s' password = 'p w\\' dbname=x replication=true fallback_application_name=y application_name=me connect_timeout=7 sslmode=disable`: `user='it\'s' password='p w\\' connect_timeout=7 host=a port=5432 application_name=me sslmode=disable dbname=x`,
		"postgresql://postgres@%2Fsrv%2Frun:5433/?sslmode=prefer&application_name=s7":                                                                        "user=postgres host='/srv/run' port=5433 application_name=s7 sslmode=prefer",
		"service=bk": "user=passer connect_timeout=3 host='/run' port=5433 application_name=east1 keepalives_idle=7 sslmode=require sslrootcert='/x'" +
			" require_auth='scram-sha-256,none' dbname=db",
		"service=bk dbname=d2 passfile=" + pass: "user=passer passfile='" + pass + "' connect_timeout=3 host='/run' port=5433 application_name=east1 keepalives_idle=7" +
			" sslmode=require sslrootcert='/x' require_auth='scram-sha-256,none' dbname=d2",
		"host=/x user=u sslcert=rel.crt sslrootcert=system": "user=u host='/x' port=5432 sslcert='" + work + "' sslrootcert=system",
		"host=/x user=u sslnegotiation=postgres load_balance_hosts=random min_protocol_version=3.0 sslcertmode=allow gssdelegation=0 target_session_attrs=any": "user=u host='/x' port=5432" +
			" sslnegotiation=postgres sslcertmode=allow min_protocol_version=3.0 gssdelegation=0 target_session_attrs=any load_balance_hosts=random",
	} {
		if diff := cmp.Diff(want, resolve(t, connString).PrimaryConnInfo(true)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", connString, diff)
		}
	}
	if got, want := resolve(t, "host=/x user=u dbname=d").PrimaryConnInfo(false), "user=u host='/x' port=5432"; got != want {
		t.Errorf("before 17: %s, want %s", got, want)
	}
}

// The password is written if it was given, and the name of its file if it comes from
// there.
func TestPrimaryConnInfo_Password(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	expect := func(info *Info, want string) {
		t.Helper()
		if got := info.PrimaryConnInfo(true); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	const none = "user=u host=a port=5432"
	expect(resolve(t, "host=a user=u"), none)
	expect(resolve(t, "host=a user=u").WithPassword("prompted"), "user=u password=prompted host=a port=5432")
	pass := write(t, "pgpass", "a:*:*:u:sekret\n")
	withFile := "user=u passfile='" + pass + "' host=a port=5432"
	expect(resolve(t, "host=a user=u passfile="+pass), withFile)
	t.Setenv("PGPASSFILE", pass)
	expect(resolve(t, "host=a user=u"), withFile)
	t.Setenv("PGPASSWORD", "variable")
	expect(resolve(t, "host=a user=u"), "user=u password=variable passfile='"+pass+"' host=a port=5432")
}

// A connection's address gives way to another one, as that is seen from its server's
// machine; what the user gave for it stays.
func TestWithAddress(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	pass := write(t, "pgpass", "/pg:5431:*:u:sekret\n")
	for _, c := range []struct{ from, to, want string }{
		{"host=/x user=u", "host='/pg' port=5431", "user=u host='/pg' port=5431"},
		{"host=/x user=u passfile=" + pass, "host='/pg' port=5431", "user=u passfile='" + pass + "' host='/pg' port=5431"},
		{"host=localhost port=5433 user=u sslmode=require", "host=127.0.0.1 port=5432", "user=u host=127.0.0.1 port=5432 sslmode=require"},
		{"host=backup port=5433 user=u", "host='/pg' port=5432", "user=u host=backup port=5432"},
		{"host=backup hostaddr=10.0.0.1 port=5433 user=u", "host=localhost port=5432", "user=u host=backup hostaddr=10.0.0.1 port=5432"},
		{"host=/x,backup port=5433,5434 user=u", "host='::1' port=5432", "user=u host='/x,backup' port=5432"},
		{"host=backup hostaddr=10.0.0.1 port=5433 user=u", "host=db port=5432", "user=u host=db port=5432"},
		{"host=backup hostaddr=10.0.0.1 user=u", "host='/pg' port=5432", "user=u host=backup hostaddr=10.0.0.1 port=5432"},
		{"host=localhost hostaddr=127.0.0.1 user=u", "host='/pg' port=5432", "user=u host='/pg' port=5432"},
		{"host=/x hostaddr=10.0.0.1 user=u", "host=localhost port=5432", "user=u hostaddr=10.0.0.1 port=5432"},
		{"host=localhost user=u sslmode=require channel_binding=require sslcertmode=require", "host='/pg' port=5432", "user=u host='/pg' port=5432 sslmode=require"},
		{"host=localhost user=u channel_binding=require", "host=db port=5432", "user=u channel_binding=require host=db port=5432"},
		{"host=/x user=u", "host=db port=5432 user=mallory sslmode=disable passfile=/etc/passwd", "user=u host=db port=5432"},
	} {
		i, err := resolve(t, c.from).WithAddress(c.to)
		must(t, err)
		if diff := cmp.Diff(c.want, i.PrimaryConnInfo(true)); diff != "" {
			t.Errorf("%s at %s (-want +got):\n%s", c.from, c.to, diff)
		}
	}
	for _, wrong := range []string{"", "host=a", "port=1", "host=a port=0", "host=a,b port=1", "host=a port=1,2", "host='a\nb' port=1", "hots=a", "host=a port=x"} {
		if i, err := resolve(t, "host=/x user=u").WithAddress(wrong); err == nil {
			t.Errorf("%q: %s", wrong, i.PrimaryConnInfo(true))
		}
	}
	if got, want := Address("/var/run/it's", 5432), `host='/var/run/it\'s' port=5432`; got != want {
		t.Errorf("an address is %s, want %s", got, want)
	}
}

// What may not hold at another server of the same name is said where the connection was
// over the network, and that the password file has no line that a standby looks for.
func TestCaveat(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	pass := write(t, "pgpass", "backup:5433:*:u:sekret\n*:*:*:both:sekret\n*:*:mine:v:sekret\n")
	t.Chdir(filepath.Dir(pass))
	for _, c := range []struct{ from, to, want string }{
		{"host=backup port=5433 user=u", "host=db port=5432", ""},
		{"host=backup port=5433 user=u sslmode=prefer channel_binding=prefer", "host=db port=5432", ""},
		{"host=/x port=5433 user=u require_auth=none", "host=/pg port=5432", ""},
		{"host=backup port=5433 user=both passfile=" + pass, "host=db port=5432", ""},
		{"host=backup port=5433 user=u password=x passfile=" + pass, "host=db port=5432", ""},
		{"host=localhost user=u sslmode=require channel_binding=require", "host=/pg port=5432", ""},
		{"host=backup port=5433 user=u sslmode=verify-full sslrootcert=/r channel_binding=require", "host=/pg port=5432",
			`PostgreSQL at backup:5432 as role "u": channel_binding, sslmode, sslrootcert of this connection must hold there, too`},
		{"host=backup port=5433 user=u passfile=pgpass", "host=db port=5432",
			`PostgreSQL at db:5432 as role "u": password file "` + pass + `" needs a line for db:5432:replication:u`},
		{"host=/x port=5433 user=v dbname=mine passfile=" + pass, "host=/pg port=5432", // a standby asks for replication
			`PostgreSQL at /pg:5432 as role "v": password file "` + pass + `" needs a line for /pg:5432:replication:v`},
		{"host=backup port=5433 user=u sslmode=require passfile=" + pass, "host=db port=5432",
			`PostgreSQL at db:5432 as role "u": sslmode of this connection must hold there, too;` +
				` password file "` + pass + `" needs a line for db:5432:replication:u`},
	} {
		from := resolve(t, c.from)
		to, err := from.WithAddress(c.to)
		must(t, err)
		if diff := cmp.Diff(c.want, to.Caveat(from)); diff != "" {
			t.Errorf("%s at %s (-want +got):\n%s", c.from, c.to, diff)
		}
	}
}
