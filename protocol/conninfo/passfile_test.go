package conninfo

import (
	"os"
	"strings"
	"testing"
)

// The lines of B23, and some more: what libpq 15 finds in them.
func TestFindPassword(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"*:*:*:*:ab ", "ab "},
		{`*:*:*:*:x\y`, "xy"},
		{"*:*:*:*:abc:", "abc"},
		{"*:*:*:*:pa:ss", "pa"},
		{`*:*:*:*:pa\:ss`, "pa:ss"},
		{`*:*:*:*:pass\`, `pass\`},
		{"h:5432:d:u:abc", "abc"},
		{`\h:543\2:d:u:abc`, "abc"},
		{"h:5432:d:u:", ""},
		{" *:*:*:*:abc", ""},
		{"#*:*:*:*:abc\n*:*:*:*:def", "def"},
		{"*:*:*:*:abc\r\n", "abc"},
		{"*:*:*:*:abc\r\r\n\n", "abc"},
		{"*:*:*:other:abc\n\n*:*:*:u:def\n*:*:*:u:ghi", "def"},
		{"x*:*:*:*:abc", ""},
		{"**:*:*:*:abc", ""},
		{"hh:5432:d:u:abc", ""},
		{"h:5432:d:u", ""},
		{"h:5432:d\\", ""},
		{"*:*:*:*:" + strings.Repeat("x", 10000), strings.Repeat("x", 10000)},
		{"\n\n", ""},
	} {
		got, err := findPassword(strings.NewReader(test.text), "h", "5432", "d", "u")
		if got != test.want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", test.text, got, err, test.want)
		}
	}
	if got, err := findPassword(strings.NewReader(`\:\:1:5432:a\\b:u\::abc`), "::1", "5432", `a\b`, "u:"); got != "abc" || err != nil {
		t.Errorf("escaped fields: got %q, %v", got, err)
	}
}

// A password is looked up for each server, by the database that is connected to (B07).
func TestResolve_PasswordFile(t *testing.T) {
	t.Setenv("PGPASSFILE", write(t, "pgpass", `localhost:5432:replication:u:default socket
/sock/dir:5432:*:*:socket
localhost:5600:postgres:backup:b
localhost:5600:replication:passer:p
a:1:*:*:of a
b:2:*:*:of b
192.0.2.7:5432:*:*:address
`))
	for _, test := range []struct {
		connString string
		o          Options
		want       string
	}{
		{"user=u host=" + defaultSocketDir(), Options{Replication: true}, "default socket"},
		{"user=u", Options{Replication: true}, "default socket"},
		{"user=u host=localhost", Options{Replication: true}, "default socket"},
		{"user=u dbname=other", Options{Replication: true}, ""},
		{"user=u host=/sock/dir", Options{}, "socket"},
		{"host=localhost port=5600 user=backup", Options{Database: "postgres"}, "b"},
		{"host=localhost port=5600 user=backup", Options{}, ""},
		{"host=localhost port=5600 user=passer", Options{Replication: true, Database: "postgres"}, "p"},
		{"host=a,b,c port=1,2,3", Options{}, "of a,of b,"},
		{"hostaddr=192.0.2.7", Options{}, "address"},
		{"host=a hostaddr=192.0.2.7 port=1", Options{}, "of a"},
		{"host=a,b port=1,2 password=given", Options{}, "given,given"},
		{"host=a,b port=1,2 password=", Options{}, "of a,of b"},
	} {
		info, err := Resolve(test.connString, test.o)
		must(t, err)
		var got []string
		for _, s := range info.servers {
			got = append(got, s.password)
		}
		if strings.Join(got, ",") != test.want {
			t.Errorf("%s: passwords %q, want %q", test.connString, got, test.want)
		}
		if want := strings.Trim(test.want, ",") != ""; info.HasPassword() != want {
			t.Errorf("%s: HasPassword is not %v", test.connString, want)
		}
	}
}

func TestResolve_PasswordFileOfOthers(t *testing.T) {
	name := write(t, "pgpass", "*:*:*:*:abc")
	for mode, warns := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o610: true, 0o700: false} {
		must(t, os.Chmod(name, mode))
		info := resolve(t, "host=a,b passfile="+name)
		if info.HasPassword() == warns || len(info.Warnings()) != map[bool]int{true: 1}[warns] {
			t.Errorf("mode %o: password %v, warnings %q", mode, info.HasPassword(), info.Warnings())
		}
	}
	info := resolve(t, "host=a passfile="+t.TempDir())
	if len(info.Warnings()) != 1 || !strings.HasSuffix(info.Warnings()[0], "is not a plain file") {
		t.Errorf("a directory: warnings %q", info.Warnings())
	}
	if warnings := resolve(t, "host=a password=x passfile="+t.TempDir()).Warnings(); len(warnings) > 0 {
		t.Errorf("not needed: warnings %q", warnings)
	}
}

// FuzzFindPassword holds the reading to what is written: any fields and password,
// escaped, are found again.
func FuzzFindPassword(f *testing.F) {
	f.Add("*:*:*:*:abc", "h", "u", "p")
	f.Add("#", `\:`, "*", `p\:`)
	f.Fuzz(func(t *testing.T, before, host, user, password string) {
		if _, err := findPassword(strings.NewReader(before), host, "1", "d", user); err != nil {
			t.Error(err)
		}
		if strings.ContainsAny(host+user+password, "\r\n\x00") || strings.HasPrefix(host, "#") {
			return
		}
		escape := strings.NewReplacer(`\`, `\\`, ":", `\:`)
		line := escape.Replace(host) + ":1:*:" + escape.Replace(user) + ":" + escape.Replace(password) + "\n"
		if got, err := findPassword(strings.NewReader(line), host, "1", "d", user); got != password || err != nil {
			t.Errorf("%q: got %q, %v", line, got, err)
		}
	})
}
