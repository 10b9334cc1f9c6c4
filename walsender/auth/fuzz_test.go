package auth_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/auth"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func FuzzHBA(f *testing.F) {
	for _, text := range []string{
		"local all all trust\n", "host replication all 10.0.0.0/8 scram-sha-256\n", "hostssl \"replication\",replication +g,/^x$ 10.0.0.1 255.0.0.0 cert map=m clientname=DN # c",
		"host replication all samenet trust insecure=1 \\\nmonitor=1", "\"", "a,,b , \"\"\"\"", "hostnossl replication all ::1/128 reject commands=backup",
	} {
		f.Add(text)
	}
	users, ident := filepath.Join(f.TempDir(), "users"), filepath.Join(f.TempDir(), "ident")
	must(f, os.WriteFile(users, []byte("\"g\" \"\" g\n"), 0o600))
	must(f, os.WriteFile(ident, []byte("m a b\n"), 0o600))
	f.Fuzz(func(t *testing.T, text string) {
		hba := filepath.Join(t.TempDir(), "hba")
		must(t, os.WriteFile(hba, []byte(text), 0o600))
		doors, err := auth.Open(auth.Config{HBA: hba, Users: users, Ident: ident, TLS: true, ClientCA: true})
		if err != nil {
			return
		}
		h := &walsender.Handshake{User: "g", Remote: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, Local: &net.TCPAddr{}}
		if grant, err := doors.Authenticate(context.Background(), h); err == nil && !strings.Contains(text, "insecure") {
			t.Errorf("somebody was let in as %+v by %q", grant, text)
		}
	})
}

func FuzzUsers(f *testing.F) {
	for _, text := range []string{"\"a\" \"" + known + "\" g \"h i\"\n", "; c\n\"a\"\"b\" \"\"", "\"a\" \"md5\"", "\"\" \"\"", "\"a\" \"SCRAM-SHA-256$1:$:\""} {
		f.Add(text)
	}
	hba := filepath.Join(f.TempDir(), "hba")
	must(f, os.WriteFile(hba, []byte("local replication all peer\n"), 0o600))
	f.Fuzz(func(t *testing.T, text string) {
		config := auth.Config{HBA: hba}
		config.Users = filepath.Join(t.TempDir(), "users")
		must(t, os.WriteFile(config.Users, []byte(text), 0o600))
		if _, err := auth.Open(config); err != nil {
			return
		}
		// A password can be set in every file that is right, and the file is right then.
		v, err := auth.ParseVerifier(known)
		must(t, err)
		must(t, auth.SetPassword(config.Users, "a", v))
		if _, err := auth.Open(config); err != nil {
			t.Errorf("%q with a password set is wrong: %v", text, err)
		}
	})
}

func FuzzIdent(f *testing.F) {
	for _, text := range []string{"m a b\n", "m /^(.*)$ \\1", "m \"/x,\" all", "m a +g", "m /( b", "m a", "m a /b"} {
		f.Add(text)
	}
	hba := filepath.Join(f.TempDir(), "hba")
	must(f, os.WriteFile(hba, []byte("local replication all peer\n"), 0o600))
	f.Fuzz(func(t *testing.T, text string) {
		config := auth.Config{HBA: hba}
		config.Ident = filepath.Join(t.TempDir(), "ident")
		must(t, os.WriteFile(config.Ident, []byte(text), 0o600))
		_, _ = auth.Open(config) // whatever it says, it says so
	})
}

func FuzzParseVerifier(f *testing.F) {
	f.Add(known)
	f.Add("md50123456789abcdef0123456789abcdef")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := auth.ParseVerifier(text)
		if err != nil {
			return
		}
		again, err := auth.ParseVerifier(v.String())
		if err != nil || again.String() != v.String() {
			t.Errorf("%q becomes %q, %v", text, v, err)
		}
	})
}

// FuzzSCRAM sends two messages of an exchange to a server: nobody gets in, and the server
// says why or closes.
func FuzzSCRAM(f *testing.F) {
	f.Add("SCRAM-SHA-256", []byte("n,,n=,r=nonce"), []byte("c=biws,r=nonce,p=AAAA"))
	f.Add("SCRAM-SHA-256-PLUS", []byte("p=tls-server-end-point,,n=,r=nonce"), []byte(""))
	f.Add("SCRAM-SHA-256", []byte("y,a=me,n=x=2C,r=,m="), []byte("c=,r=,p="))
	v, err := auth.ParseVerifier(known)
	must(f, err)
	hba, users := filepath.Join(f.TempDir(), "hba"), filepath.Join(f.TempDir(), "users")
	must(f, os.WriteFile(hba, []byte("local replication all scram-sha-256\n"), 0o600))
	must(f, os.WriteFile(users, []byte(auth.UserLine("backup", v)+"\n"), 0o600))
	doors, err := auth.Open(auth.Config{HBA: hba, Users: users})
	must(f, err)
	server := &walsender.Server{Cluster: walsendertest.Primary(), Authenticator: doors, AuthFailureDelay: -1}
	f.Fuzz(func(t *testing.T, mechanism string, first, second []byte) {
		here, there := net.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- server.ServeConn(context.Background(), there) }() // ends with the exchange
		must(t, here.SetDeadline(time.Now().Add(time.Minute)))
		out := wire.StartupMessage{Major: 3, Parameters: map[string]string{"user": "backup", "replication": "true"}}.Encode(nil)
		out, err := (&pgproto3.SASLInitialResponse{AuthMechanism: mechanism, Data: first}).Encode(out)
		must(t, err)
		out, err = (&pgproto3.SASLResponse{Data: second}).Encode(out)
		must(t, err)
		go func() { _, _ = here.Write(out) }() // ends with the connection
		messages := pgproto3.NewFrontend(here, io.Discard)
		for {
			m, err := messages.Receive()
			if err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("the server says nothing")
				}
				break
			}
			if _, in := m.(*pgproto3.AuthenticationOk); in {
				t.Errorf("%s %q %q was let in", mechanism, first, second)
			}
			if _, refused := m.(*pgproto3.ErrorResponse); refused {
				break
			}
		}
		here.Close()
		<-ended
	})
}
