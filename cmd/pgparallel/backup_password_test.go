package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/conninfo"
)

func TestReadPassword(t *testing.T) {
	for in, want := range map[string]string{"secret\n": "secret", "se cret\r\n": "se cret", "no end": "no end", "\n": ""} {
		var prompt bytes.Buffer
		got, err := readPassword(t.Context(), strings.NewReader(in), &prompt, nil, "Password: ")
		if err != nil || got != want || prompt.String() != "Password: " {
			t.Errorf("%q: got %q, %v, after %q", in, got, err, prompt.String())
		}
	}
	if _, err := readPassword(t.Context(), strings.NewReader(""), io.Discard, nil, ""); err != io.EOF {
		t.Errorf("nothing to read: error is %v", err)
	}
}

// Only a server that wants a password, and gets none from elsewhere, has the user asked
// for it.
func TestWithPassword_DoesNotAsk(t *testing.T) {
	wrong := fmt.Errorf("connection failed: %w", &protocol.Error{Code: protocol.CodeInvalidPassword})
	for name, c := range map[string]struct {
		o        connectionOptions
		password string
		err      error
	}{
		"success":           {},
		"other error":       {err: errors.New("no")},
		"there is one":      {password: "x", err: wrong},
		"refused otherwise": {err: &protocol.Error{Code: protocol.CodeTooManyConnections}},
	} {
		calls := 0
		info, err := conninfo.Resolve("host=/x passfile=/none password='"+c.password+"'", conninfo.Options{})
		if err != nil {
			t.Fatal(err)
		}
		options := client.Options{ConnInfo: info}
		err = c.o.withPassword(t.Context(), &options.ConnInfo, &console{stderr: io.Discard}, func() error { calls++; return c.err })
		if calls != 1 || err != c.err {
			t.Errorf("%s: %d attempts, error %v", name, calls, err)
		}
	}
}

// A connection that has no password to give, and nobody to ask, is not told of a wrong one.
func TestWithPassword_NoneSupplied(t *testing.T) {
	t.Setenv("PGPASSWORD", "")
	refused := &protocol.Error{Severity: "FATAL", Code: protocol.CodeInvalidPassword, Message: "password authentication failed"}
	info, err := conninfo.Resolve("host=::1 port=5433 user=u passfile=/none", conninfo.Options{Replication: true})
	if err != nil {
		t.Fatal(err)
	}
	c := &backupCommand{}
	c.NoPassword = true
	options := client.Options{ConnInfo: info}
	err = c.withPassword(t.Context(), &options.ConnInfo, &console{stderr: io.Discard}, func() error {
		return fmt.Errorf("connection to server failed: %w", refused)
	})
	if err == nil || err.Error() != "connection to server failed: no password supplied" || !protocol.HasCode(err, protocol.CodeInvalidPassword) {
		t.Errorf("error is %v", err)
	}
	if got, want := c.hint(err), `PGPASSWORD is not set, and password file "/none" has no line for \:\:1:5433:replication:u.`; got != want {
		t.Errorf("hint is %s, want %s", got, want)
	}
}
