package auth_test

import (
	"context"
	"encoding/base64"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/auth"
)

// TestReload goes by the new files from then on, and by the old ones where the new have
// something wrong with them.
func TestReload(t *testing.T) {
	config := auth.Config{HBA: write(t, "hba.conf", "local replication all trust\n"), Users: write(t, "users.txt", userLines(t, []string{"a", "b", "group"}))}
	doors, err := auth.Open(config)
	must(t, err)
	h := &walsender.Handshake{User: "a", Remote: &net.UnixAddr{}}
	for _, step := range []struct {
		file, text string
		wrong, in  bool
	}{
		{config.HBA, "local replication +group trust\n", false, true},
		{config.Users, userLines(t, []string{"b", "c", "other"}), false, false}, // the last member has left
		{config.Users, userLines(t, []string{"a", "b", "group"}), false, true},
		{config.Users, "\"a\" \"plain\"\n", true, true},
		{config.HBA, "local replication all reject\n", true, true},
		{config.Users, "", false, false},
	} {
		must(t, os.WriteFile(step.file, []byte(step.text), 0o600))
		if err := doors.Reload(); (err != nil) != step.wrong {
			t.Errorf("%q: %v", step.text, err)
		}
		if _, err := doors.Authenticate(context.Background(), h); (err == nil) != step.in {
			t.Errorf("after %q: %v", step.text, err)
		}
	}
}

// challenge is the salt and the iterations that a server answers a role with.
func challenge(t *testing.T, addr net.Addr, role string) string {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	must(t, err)
	defer conn.Close()
	out := wire.StartupMessage{Major: 3, Parameters: map[string]string{"user": role, "replication": "true"}}.Encode(nil)
	out, err = (&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte("n,,n=,r=nonce")}).Encode(out)
	must(t, err)
	_, err = conn.Write(out)
	must(t, err)
	f := pgproto3.NewFrontend(conn, conn)
	_, err = f.Receive()
	must(t, err)
	answer, err := f.Receive()
	must(t, err)
	more, ok := answer.(*pgproto3.AuthenticationSASLContinue)
	if !ok {
		t.Fatalf("%T", answer)
	}
	_, rest, _ := strings.Cut(string(more.Data), ",s=")
	return rest
}

// TestSCRAM_1_10_Mock makes a role that does not exist look like one that does: its salt
// is as long, stays the same, over restarts and new users, and is no other's.
func TestSCRAM_1_10_Mock(t *testing.T) {
	v, err := auth.NewVerifier("secret", 5000)
	must(t, err)
	users := auth.UserLine("first", v) + "\n"
	open1 := func(users string) net.Addr {
		return serve(t, &walsender.Server{Authenticator: open(t, "host replication all all scram-sha-256\n", users, "")})
	}
	addr := open1(users)
	salt := challenge(t, addr, "nobody")
	text, iterations, _ := strings.Cut(salt, ",i=")
	if decoded, err := base64.StdEncoding.DecodeString(text); err != nil || len(decoded) != len(v.Salt) || iterations != "5000" {
		t.Errorf("a role that does not exist has salt and iterations %s", salt)
	}
	for name, other := range map[string]string{
		"the second time": challenge(t, addr, "nobody"), "another start": challenge(t, open1(users), "nobody"),
		"a new user": challenge(t, open1(users+auth.UserLine("second", v)+"\n"), "nobody"),
	} {
		if other != salt {
			t.Errorf("%s: salt %s, before %s", name, other, salt)
		}
	}
	if other := challenge(t, addr, "nobody2"); other == salt {
		t.Error("two roles that do not exist have the same salt")
	}
	if got, _, _ := strings.Cut(challenge(t, addr, "first"), ",i="); got != base64.StdEncoding.EncodeToString(v.Salt) {
		t.Errorf("a role that exists has salt %s", got)
	}
}
