package livecluster_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/auth"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
)

// passwordFunction is that of cmd/pgparallel/docs/network.md.
const passwordFunction = `CREATE FUNCTION public.backup_password(INOUT rolname text, OUT rolpassword text)
	RETURNS SETOF record LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$SELECT a.rolname, a.rolpassword FROM pg_authid a WHERE a.rolname = $1 AND rolcanlogin
		AND rolreplication AND (rolvaliduntil IS NULL OR rolvaliduntil > now())$$;
	REVOKE EXECUTE ON FUNCTION public.backup_password FROM PUBLIC;
	GRANT EXECUTE ON FUNCTION public.backup_password TO backup`

const authQuery = "SELECT * FROM public.backup_password($1)"

// TestAuthQuery_1_10 lets in the roles of the running cluster that its function tells of,
// by their passwords there.
func TestAuthQuery_1_10(t *testing.T) {
	cluster := newPrimary(t, nil)
	sql(t, cluster, passwordFunction)
	sql(t, cluster, `CREATE ROLE good LOGIN REPLICATION PASSWORD 'secret' VALID UNTIL 'infinity';
		CREATE ROLE expired LOGIN REPLICATION PASSWORD 'secret' VALID UNTIL '2001-01-01';
		CREATE ROLE ordinary LOGIN PASSWORD 'secret';
		CREATE ROLE closed REPLICATION PASSWORD 'secret';
		CREATE ROLE empty LOGIN REPLICATION;
		SET password_encryption = md5; CREATE ROLE old LOGIN REPLICATION PASSWORD 'secret'`)
	config := configFor(t, cluster)
	config.AuthQuery = authQuery
	live, err := livecluster.Open(t.Context(), cluster.Dir, config)
	must(t, err)
	t.Cleanup(func() { must(t, live.Close()) })
	hba := filepath.Join(t.TempDir(), "hba.conf")
	must(t, os.WriteFile(hba, []byte("host replication all 127.0.0.1/32 scram-sha-256\n"), 0o600))
	doors, err := auth.Open(auth.Config{HBA: hba, Lookup: live.LookupPassword})
	must(t, err)
	server := &walsender.Server{Cluster: live, Authenticator: doors, AuthFailureDelay: -1}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }() // ends with Close
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	connect := func(role, password string) error {
		c, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%d user=%s password=%s sslmode=disable replication=true",
			l.Addr().(*net.TCPAddr).Port, role, password))
		if err == nil {
			must(t, c.Close(t.Context()))
		}
		return err
	}
	if err := connect("good", "secret"); err != nil {
		t.Errorf("good: %v", err)
	}
	for _, role := range []string{"good", "expired", "ordinary", "closed", "empty", "old", "nobody"} {
		password := "secret"
		if role == "good" {
			password = "wrong"
		}
		err := connect(role, password)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("password authentication failed for user %q (SQLSTATE 28P01)", role)) {
			t.Errorf("%s: %v", role, err)
		}
	}
	// A password that is changed counts at once; no server, no password.
	sql(t, cluster, "ALTER ROLE good PASSWORD 'other'")
	if err := connect("good", "other"); err != nil {
		t.Errorf("good, with a new password: %v", err)
	}
	if got, _, err := live.LookupPassword(t.Context(), "nobody"); got != "" || err != nil {
		t.Errorf("nobody's password: %q, %v", got, err)
	}
}

// TestAuthQuery_Refused tells at the start what is wrong with the query.
func TestAuthQuery_Refused(t *testing.T) {
	cluster := newPrimary(t, nil)
	sql(t, cluster, strings.Replace(passwordFunction, "TO backup", "TO passer", 1))
	for query, want := range map[string]string{
		authQuery:                          "permission denied for function backup_password",
		"SELECT * FROM public.nothing($1)": "function public.nothing(unknown) does not exist",
		"SELECT $1":                        "must have two columns",
		"SELECT rolname, '' FROM pg_roles WHERE $1=''": "more than one row",
		"SELECT 'somebody', 'x' WHERE $1=''":           "a row of another role",
		"SELEC":                                        `syntax error at or near "SELEC"`,
	} {
		config := configFor(t, cluster)
		config.AuthQuery = query
		live, err := livecluster.Open(t.Context(), cluster.Dir, config)
		if err == nil {
			must(t, live.Close())
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
}
