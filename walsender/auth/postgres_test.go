package auth_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/auth"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// TestPostgres_SameRules gives PostgreSQL and the server the same rules, and each the
// verifiers that the other has made: the same users get in, and the others are told the
// same.
func TestPostgres_SameRules(t *testing.T) {
	p := postgres.Require(t)
	cluster := p.NewCluster(t, postgres.InitOptions{})
	must(t, cluster.Start(t.Context()))
	sql := func(text string) string {
		t.Helper()
		out, err := cluster.SQL(t.Context(), "postgres", text)
		must(t, err)
		return strings.TrimSpace(out)
	}
	// What SASLprep changes, what it refuses, and what it knows nothing of.
	passwords := []string{"secret", "pässwörd", "with space ", "IX", "Ⅸ", "a\u00adb", "a\u00a0b", "\u0627\u0031", "it's", strings.Repeat("x", 500), "a\u200bb", "\u1e9b\u0323"}
	users, names := "", "wrong,nobody,old"
	for i, password := range passwords {
		role, quoted := fmt.Sprintf("u%d", i), "'"+strings.ReplaceAll(password, "'", "''")+"'"
		sql("create role " + role + " login replication password " + quoted)
		verifier, err := auth.ParseVerifier(sql("select rolpassword from pg_authid where rolname = '" + role + "'"))
		must(t, err)
		users += auth.UserLine(role, verifier) + "\n"
		names += "," + role
		verifier, err = auth.NewVerifier(password, 0)
		must(t, err)
		sql(fmt.Sprintf("alter role %s password '%s'", role, verifier))
	}
	sql("create role wrong login replication password 'secret'; create role rejected login replication; create role unlisted login replication")
	rules := "local all postgres trust\nlocal replication " + names + " scram-sha-256\nlocal replication rejected reject\n"
	must(t, os.WriteFile(filepath.Join(cluster.Dir, "pg_hba.conf"), []byte(rules), 0o600))
	sql("select pg_reload_conf()")

	dir, err := os.MkdirTemp("/tmp", "pgp")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, err := walsender.ListenUnix(dir, 5433)
	must(t, err)
	serveOn(t, &walsender.Server{Authenticator: open(t, rules, users, "")}, socket)
	for i, password := range append(passwords, "guess", "guess", "guess", "guess") {
		role := fmt.Sprintf("u%d", i)
		if i >= len(passwords) {
			role = []string{"wrong", "nobody", "rejected", "unlisted"}[i-len(passwords)]
		}
		words := fmt.Sprintf(" replication=true user=%s password='%s'", role, strings.ReplaceAll(password, "'", `\'`))
		theirs := refusal(t, p, cluster.ConnString("postgres")+words)
		ours := refusal(t, p, "host="+dir+" port=5433 "+words)
		if ours != theirs || i < len(passwords) && ours != "" {
			t.Errorf("%s with %q: PostgreSQL says %q, we say %q", role, password, theirs, ours)
		}
	}
}

// refusal is what a server said to psql that did not let it in; empty where it did. pgconn
// will not do as the client: it has PRECIS in place of SASLprep.
func refusal(t *testing.T, p postgres.Programs, conninfo string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(p.BinDir, "psql"), "-X", "-w", "-Atc", "IDENTIFY_SYSTEM", conninfo).CombinedOutput()
	if err == nil {
		return ""
	}
	_, text, found := strings.Cut(string(out), "failed: ")
	if !found {
		return string(out)
	}
	return text
}
