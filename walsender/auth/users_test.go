package auth_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/walsender/auth"
)

// known is the verifier that PostgreSQL makes of "secret" with this salt.
const known = "SCRAM-SHA-256$4096:AAECAwQFBgcICQoLDA0ODw==$zfiPEwzm2hVpbCTmhb12XfqUJmmJvyyLZvC7b2ZyxtE=:YNkSoDlZhvFR5cDeMYYQlGGeT+QZ93ezGxpIcsJaZnk="

func TestUsers_Errors(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"md5":           {`"a" "md5` + strings.Repeat("0", 32) + `"`, `the password is stored as MD5, which is not supported: set it anew; "pgparallel passwd a" makes a line that fits`},
		"plain":         {`"a" "secret"`, `not a SCRAM-SHA-256 verifier; "pgparallel passwd a" makes a line that fits`},
		"cut":           {`"a" "` + known[:80] + `"`, `not a SCRAM-SHA-256 verifier; "pgparallel passwd a" makes a line that fits`},
		"cut key":       {`"a" "` + known[:130] + `"`, `invalid salt or key in a SCRAM-SHA-256 verifier; "pgparallel passwd a" makes a line that fits`},
		"no iterations": {`"a" "` + strings.Replace(known, "4096", "0", 1) + `"`, `invalid number of iterations in a SCRAM-SHA-256 verifier; "pgparallel passwd a" makes a line that fits`},
		"no quotes":     {`a "` + known + `"`, `name and verifier must be in double quotes`},
		"open":          {`"a" "` + known, `unterminated quoted string`},
		"alone":         {`"a"`, `a line is "name" "verifier", and the groups of the user behind it`},
		"no name":       {`"" "` + known + `"`, `a user must have a name`},
		"twice":         {`"first" ""`, `user "first" is there twice`},
		"quote":         {`"a" "` + known + `" grou"p`, `unterminated quoted string`},
	} {
		t.Run(name, func(t *testing.T) {
			users := write(t, "users.txt", `"first" "`+known+`" ; a comment`+"\n; another\n"+test.text+"\n")
			_, err := auth.Open(auth.Config{HBA: write(t, "hba.conf", ""), Users: users})
			want := `line 3 of "` + users + `": ` + test.want
			if err == nil || err.Error() != want {
				t.Errorf("%v\nwant %s", err, want)
			}
			if err != nil && strings.Contains(err.Error(), "secret\"") {
				t.Error("the error shows the password")
			}
		})
	}
}

func TestUsers_Files(t *testing.T) {
	hba := write(t, "hba.conf", "local replication all peer\n")
	users := write(t, "users.txt", "")
	if _, err := auth.Open(auth.Config{HBA: hba, Users: users}); err != nil {
		t.Errorf("empty files: %v", err)
	}
	must(t, os.Chmod(users, 0o604))
	if _, err := auth.Open(auth.Config{HBA: hba, Users: users}); err == nil || !strings.Contains(err.Error(), "is open to the world") {
		t.Errorf("a file for all to read: %v", err)
	}
	if _, err := auth.Open(auth.Config{HBA: hba, Users: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := auth.Open(auth.Config{HBA: hba + "x"}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no file: %v", err)
	}
}

// TestVerifier_RoundTrip writes what it reads.
func TestVerifier_RoundTrip(t *testing.T) {
	v, err := auth.ParseVerifier(known)
	must(t, err)
	if v.String() != known {
		t.Errorf("%s, want %s", v, known)
	}
	if _, err := auth.NewVerifier("", 0); err == nil {
		t.Error("an empty password has a verifier")
	}
	rapid.Check(t, func(t *rapid.T) {
		v, err := auth.NewVerifier(rapid.StringN(1, 20, -1).Draw(t, "password"), rapid.IntRange(1, 3).Draw(t, "iterations"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := auth.ParseVerifier(v.String())
		if diff := cmp.Diff(v, again); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	})
}

// TestSetPassword keeps every other line, the user's groups, and the mode of the file.
func TestSetPassword(t *testing.T) {
	v, err := auth.ParseVerifier(known)
	must(t, err)
	file := filepath.Join(t.TempDir(), "users")
	must(t, auth.SetPassword(file, `a "quoted" name`, v))
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of a new file: %v, %v", info.Mode(), err)
	}
	must(t, os.WriteFile(file, []byte("; comment\n\"a\" \"\" one, two\n\"b\" \"\""), 0o600))
	must(t, os.Chmod(file, 0o640))
	must(t, auth.SetPassword(file, "a", v))
	must(t, auth.SetPassword(file, "c", v, "three"))
	must(t, auth.SetPassword(file, "b", v, "four"))
	text, err := os.ReadFile(file)
	must(t, err)
	want := "; comment\n\"a\" \"" + known + "\" \"one\" \"two\"\n\"b\" \"" + known + "\" \"four\"\n\"c\" \"" + known + "\" \"three\"\n"
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("the file (-want +got):\n%s", diff)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o640 {
		t.Errorf("mode of the file: %v", info.Mode())
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".users*"))
	if len(left) > 0 {
		t.Errorf("left behind: %s", left)
	}
	for _, name := range []string{"", "a\nb"} {
		if auth.SetPassword(file, name, v) == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
	must(t, os.WriteFile(file, []byte("\"a\" \"secret\"\n"), 0o600))
	if auth.SetPassword(file, "a", v) == nil {
		t.Error("a file with something wrong in it is changed")
	}
}
