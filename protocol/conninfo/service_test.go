package conninfo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScanService(t *testing.T) {
	type set = map[string]string
	long := strings.Repeat("x", maxServiceLine-len("options="))
	for _, test := range []struct {
		text, want string
		set        set
	}{
		{text: "", set: nil},
		{text: "[other]\nhost=a\nno equals sign\n", set: nil},
		{text: "before any section\n[bk]\nhost=a\n", set: set{"host": "a"}},
		{text: "[bk]", set: set{}},
		{text: "  [bk] # comment\r\n\thost=a b \r\n\n# host=c\nport = 5", want: `line 5: invalid connection option "port "`},
		{text: "[bk]\nhost= a\n[other]\nhots=b\n", set: set{"host": " a"}},
		{text: "[bk]\nhost=a\nhost=b\n[bk]\nport=1", set: set{"host": "a"}},
		{text: "[bkx]\nhost=a\n[bk]x\nhost=b", set: set{"host": "b"}},
		{text: "[bk]\noptions=-c geqo=off", set: set{"options": "-c geqo=off"}},
		{text: "[bk]\nhost", want: `line 2: syntax error: missing "="`},
		{text: "[bk]\nhost=a\nsslmod=verify-full", want: `line 3: invalid connection option "sslmod"`},
		{text: "[bk]\nservice=x", want: "line 2: nested service specifications are not supported"},
		{text: "[bk]\nldap://directory/x", want: "line 2: LDAP is not supported"},
		{text: "[bk]\noptions=" + long, want: "line 2: line too long"},
		{text: "[bk]\noptions=" + long[1:] + "\n", set: set{"options": long[1:]}},
		{text: "[a]\n" + long + long, want: "line 2: line too long"},
	} {
		got, line, err := scanService(strings.NewReader(test.text), "bk")
		if test.want != "" {
			if message := "line " + string(rune('0'+line)) + ": "; err == nil || message+err.Error() != test.want {
				t.Errorf("%q: error %v in line %d, want %s", test.text, err, line, test.want)
			}
			continue
		}
		if diff := cmp.Diff(test.set, got); diff != "" || err != nil {
			t.Errorf("%q: error %v (-want +got):\n%s", test.text, err, diff)
		}
	}
}

// The user's file goes before the system's, which is asked where the user's does not
// name the service (B08).
func TestResolve_ServiceFiles(t *testing.T) {
	home, system := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("PGSYSCONFDIR", system)
	write := func(name, text string) { must(t, os.WriteFile(name, []byte(text), 0o600)) }
	expect := func(connString, want string) {
		t.Helper()
		info, err := Resolve(connString, Options{})
		if err != nil {
			if err.Error() != want {
				t.Errorf("%s: error %v, want %s", connString, err, want)
			}
			return
		}
		if got, _ := info.Value("host"); got != want {
			t.Errorf("%s: host %q, want %q", connString, got, want)
		}
	}
	expect("service=bk", `definition of service "bk" not found`)
	write(filepath.Join(system, "pg_service.conf"), "[bk]\nhost=/system\n")
	expect("service=bk", "/system")
	write(filepath.Join(home, ".pg_service.conf"), "[other]\nhost=/user\n")
	expect("service=bk", "/system")
	expect("service=other", "/user")
	expect("service=other host=/string", "/string")
	write(filepath.Join(home, ".pg_service.conf"), "[bk]\nhost=/user\n")
	expect("service=bk", "/user")
	file := filepath.Join(home, "services")
	t.Setenv("PGSERVICEFILE", file)
	expect("service=bk", `service file "`+file+`" not found`)
	write(file, "[bk]\nhots=a")
	expect("service=bk", `service file "`+file+`", line 2: invalid connection option "hots"`)
	write(file, "[x]\n")
	expect("service=bk", "/system")
	t.Setenv("PGSERVICE", "bk")
	expect("", "/system")
	expect("service=none", `definition of service "none" not found`)
	// pgconn, which reads PGSERVICE too, finds a service file of ours.
	if _, err := resolve(t, "").Configs(); err != nil {
		t.Error(err)
	}
}

func FuzzScanService(f *testing.F) {
	f.Add("[bk]\nhost=a\n#\n[x]\n")
	f.Add("[bk]\r\n host=a=b \n")
	f.Fuzz(func(t *testing.T, text string) {
		set, line, err := scanService(strings.NewReader(text), "bk")
		if n := strings.Count(text, "\n") + 1; line < 1 || line > n {
			t.Errorf("line %d of %d", line, n)
		}
		for name := range set {
			if find(name) == nil || err != nil {
				t.Errorf("keyword %q, error %v", name, err)
			}
		}
	})
}
