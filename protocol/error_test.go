package protocol_test

import (
	"errors"
	"fmt"
	"testing"
	"unicode/utf8"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/internal/protocoltest"
)

func TestErrorText(t *testing.T) {
	for _, test := range []struct {
		err   *protocol.Error
		text  string
		fatal bool
	}{
		{&protocol.Error{Code: "42704", Message: `backup "x" does not exist`}, `ERROR: backup "x" does not exist (SQLSTATE 42704)`, false},
		{protocol.Errorf("22023", "no %d", 1), "ERROR: no 1 (SQLSTATE 22023)", false},
		{protocol.Fatalf("08P01", "no %d", 1), "FATAL: no 1 (SQLSTATE 08P01)", true},
		{protocol.Warningf("no %d", 1), "WARNING: no 1 (SQLSTATE 01000)", false},
		{&protocol.Error{Severity: "PANIC", Code: "XX000", Message: "no"}, "PANIC: no (SQLSTATE XX000)", true},
	} {
		protocoltest.WantText(t, test.text, test.err, test.text)
		if test.err.Fatal() != test.fatal {
			t.Errorf("%v: Fatal() = %v", test.err, test.err.Fatal())
		}
	}
}

func TestHasCode(t *testing.T) {
	gone := fmt.Errorf("could not send: %w", protocol.Errorf(protocol.CodeUndefinedFile, "no such file"))
	for _, test := range []struct {
		err   error
		codes []string
		want  bool
	}{
		{gone, []string{protocol.CodeUndefinedFile}, true},
		{gone, []string{protocol.CodeIOError, protocol.CodeUndefinedFile}, true},
		{gone, []string{protocol.CodeIOError}, false},
		{gone, nil, false},
		{errors.New("58P01"), []string{protocol.CodeUndefinedFile}, false},
		{nil, []string{protocol.CodeUndefinedFile}, false},
		{(*protocol.Error)(nil), []string{""}, false},
	} {
		if got := protocol.HasCode(test.err, test.codes...); got != test.want {
			t.Errorf("HasCode(%#v, %v) = %v", test.err, test.codes, got)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, test := range []struct {
		in   string
		n    int
		want string
	}{
		{"", 3, ""}, {"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"äöüß", 3, "äöü"}, {"a\xff\xfeb", 3, "a\uFFFD\uFFFD"}, {"abc", 0, ""},
	} {
		if got := protocol.Shorten(test.in, test.n); got != test.want {
			t.Errorf("Shorten(%q, %d) = %q, want %q", test.in, test.n, got, test.want)
		}
	}
	if got := protocol.ShortID("0123456789abcdef0123456789abcdef"); got != "01234567" {
		t.Errorf("ShortID = %q", got)
	}
}

func FuzzShorten(f *testing.F) {
	f.Add("a\xffä", 2)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = max(0, n%1000)
		if got := protocol.Shorten(s, n); !utf8.ValidString(got) || utf8.RuneCountInString(got) > n {
			t.Errorf("Shorten(%q, %d) = %q", s, n, got)
		}
	})
}
