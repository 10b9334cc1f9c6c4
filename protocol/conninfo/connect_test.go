package conninfo

import (
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"
)

// playedServer is a server at its smallest: it wants a password, and refuses or begins a
// session.
type playedServer struct {
	dir     string
	refusal string // SQLSTATE
	reports map[string]string

	mu       sync.Mutex
	startups []map[string]string // of those who came
}

func (s *playedServer) start(t *testing.T) *playedServer {
	s.dir = t.TempDir()
	s.listen(t, filepath.Join(s.dir, ".s.PGSQL.5432"))
	return s
}

// listen has the server take connections until the test ends.
func (s *playedServer) listen(t *testing.T, socket string) {
	l, err := net.Listen("unix", socket)
	must(t, err)
	done := make(chan struct{})
	go func() { // ends with the listener
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.session(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
}

func (s *playedServer) session(c net.Conn) {
	b := pgproto3.NewBackend(c, c)
	m, err := b.ReceiveStartupMessage()
	startup, ok := m.(*pgproto3.StartupMessage)
	if err != nil || !ok {
		return
	}
	b.Send(&pgproto3.AuthenticationCleartextPassword{})
	if b.Flush() != nil || b.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
		return
	}
	answer, err := b.Receive()
	password, ok := answer.(*pgproto3.PasswordMessage)
	if err != nil || !ok {
		return
	}
	startup.Parameters["password"] = password.Password
	s.mu.Lock()
	s.startups = append(s.startups, startup.Parameters)
	s.mu.Unlock()
	if s.refusal != "" {
		b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: s.refusal, Message: "no"})
		b.Flush()
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	for name, text := range s.reports {
		b.Send(&pgproto3.ParameterStatus{Name: name, Value: text})
	}
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() == nil {
		b.Receive() // the end
	}
}

func (s *playedServer) came() []map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	came := s.startups
	s.startups = nil
	return came
}

// reports are what a primary, or a standby, reports.
func reports(standby string) map[string]string {
	return map[string]string{"in_hot_standby": standby, "default_transaction_read_only": "off"}
}

// TestConnect tries the servers in their order, until one takes the connection or
// refuses it. Who came is told in the order of all.
func TestConnect(t *testing.T) {
	primary := (&playedServer{reports: reports("off")}).start(t)
	standby := (&playedServer{reports: reports("on")}).start(t)
	starting := (&playedServer{refusal: codeCannotConnectNow}).start(t)
	refusing := (&playedServer{refusal: "28P01"}).start(t)
	all := []*playedServer{primary, standby, starting, refusing}
	names := map[string]string{"P": primary.dir, "S": standby.dir, "W": starting.dir, "R": refusing.dir, "N": "/nonexistent"}
	for _, test := range []struct{ hosts, options, came, with, failure string }{
		{hosts: "P S", came: "P", with: "P"},
		{hosts: "N W S P", came: "S W", with: "S"},
		{hosts: "R P", came: "R", failure: "28P01"},
		{hosts: "N W", came: "W", failure: "57P03"},
		{hosts: "S P", options: "target_session_attrs=primary", came: "P S", with: "P"},
		{hosts: "S P", options: "target_session_attrs=read-write", came: "P S", with: "P"},
		{hosts: "P S", options: "target_session_attrs=standby", came: "P S", with: "S"},
		{hosts: "P N S", options: "target_session_attrs=prefer-standby", came: "P S", with: "S"},
		{hosts: "N P", options: "target_session_attrs=prefer-standby", came: "P P", with: "P"},
		{hosts: "P", options: "target_session_attrs=read-only", came: "P", failure: "session is not read-only"},
		{hosts: "P", options: "require_auth=scram-sha-256", came: "", failure: "require_auth"},
	} {
		list := strings.Fields(test.hosts)
		for i, name := range list {
			list[i] = names[name]
		}
		configs, err := resolve(t, "password=x user=u host="+strings.Join(list, ",")+" "+test.options).Configs()
		must(t, err)
		conn, config, err := Connect(t.Context(), configs)
		if err == nil {
			must(t, conn.Close(t.Context()))
			if config.Host != names[test.with] {
				t.Errorf("%s %s: connected with %s", test.hosts, test.options, config.Host)
			}
		}
		if (err == nil) != (test.failure == "") || err != nil && !strings.Contains(err.Error(), test.failure) {
			t.Errorf("%s %s: error %v, want %q", test.hosts, test.options, err, test.failure)
		}
		var came []string
		for i, s := range all {
			for range s.came() {
				came = append(came, string("PSWR"[i]))
			}
		}
		if diff := cmp.Diff(test.came, strings.Join(came, " ")); diff != "" {
			t.Errorf("%s %s: servers (-want +got):\n%s", test.hosts, test.options, diff)
		}
	}
}

// Each server gets the password of its own line (B07), and the database that -d names,
// by which a pooler routes.
func TestConnect_Startup(t *testing.T) {
	first, second := (&playedServer{refusal: codeCannotConnectNow}).start(t), (&playedServer{}).start(t)
	pass := write(t, "pgpass", first.dir+":*:*:*:first\n"+second.dir+":*:*:*:second\n")
	for connString, database := range map[string]string{"": "replication", " dbname=pp": "pp"} {
		configs, err := resolve(t, "user=u passfile="+pass+" host="+first.dir+","+second.dir+connString).Configs()
		must(t, err)
		conn, _, err := Connect(t.Context(), configs)
		must(t, err)
		must(t, conn.Close(t.Context()))
		want := map[string]string{"user": "u", "database": database, "replication": "true", "password": "first"}
		if diff := cmp.Diff([]map[string]string{want}, first.came()); diff != "" {
			t.Errorf("the first (-want +got):\n%s", diff)
		}
		want["password"] = "second"
		if diff := cmp.Diff([]map[string]string{want}, second.came()); diff != "" {
			t.Errorf("the second (-want +got):\n%s", diff)
		}
	}
}
