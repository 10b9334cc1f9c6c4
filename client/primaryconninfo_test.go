package client

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

func TestPrimaryConnInfo(t *testing.T) {
	for _, variable := range primaryParameters() {
		if variable.variable != "" {
			t.Setenv(variable.variable, "")
		}
	}
	t.Setenv("PGPASSFILE", "/passwords") // where no password is found
	for _, test := range []struct{ connString, want string }{
		{"host=/tmp user=postgres", "user=postgres passfile='/passwords' host='/tmp' port=5432"},
		{"host=a,b port=1,2 user=u sslmode=disable", "user=u passfile='/passwords' host='a,b' port='1,2' sslmode=disable"},
		{"host=a,b user=u sslmode=prefer", "user=u passfile='/passwords' host='a,b' port=5432 sslmode=prefer"},
		{`host=a user='it\'s' password = 'p w\\' dbname=x replication=true fallback_application_name=y application_name=me connect_timeout=7 sslmode=disable`,
			`user='it\'s' password='p w\\' connect_timeout=7 host=a port=5432 application_name=me sslmode=disable`},
		{"postgres://u:p%40@h:7/db?sslmode=disable&application_name=a%20b", "user=u password='p@' host=h port=7 application_name='a b' sslmode=disable"},
	} {
		config, err := pgconn.ParseConfig(test.connString)
		must(t, err)
		if diff := cmp.Diff(test.want, primaryConnInfo(config, test.connString)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.connString, diff)
		}
	}
	t.Setenv("PGSSLMODE", "require")
	config, err := pgconn.ParseConfig("host=a user=u")
	must(t, err)
	if got, want := primaryConnInfo(config, "host=a user=u"), "user=u passfile='/passwords' host=a port=5432 sslmode=require"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The lines are those of PostgreSQL's own program, quoted twice.
func TestRecoverySettings(t *testing.T) {
	got := recoverySettings(`user='it\'s' host='/tmp'`, "standby_1")
	want := `primary_conninfo = 'user=''it\\''s'' host=''/tmp'''` + "\nprimary_slot_name = 'standby_1'\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What pg_basebackup -R writes has the same parameters, in the same order and quoted in
// the same way, between those that it fills in with libpq's defaults.
func TestRecoverySettings_AsPgBasebackup(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	must(t, c.Start(ctx))
	connString := c.ConnString("postgres") + ` application_name='it\'s \\ "me"' connect_timeout=7 password=secret sslmode=disable`
	dir := filepath.Join(p.TempDir(t), "copy")
	_, err := p.Run(ctx, "pg_basebackup", "-d", connString, "-D", dir, "-R", "-N", "-c", "fast")
	must(t, err)
	config, err := pgconn.ParseConfig(connString)
	must(t, err)

	lines := strings.Split(read(t, dir, autoConfFile), "\n")
	theirs := lines[len(lines)-2] // the last ends in a line feed
	rest := theirs
	ours := recoverySettings(primaryConnInfo(config, connString), "")
	for _, pair := range strings.SplitAfter(strings.TrimSuffix(strings.TrimPrefix(ours, "primary_conninfo = '"), "'\n"), " ") {
		i := strings.Index(rest, pair)
		if i < 0 {
			t.Fatalf("no %q in what pg_basebackup writes: %s\nWe write: %s", pair, theirs, ours)
		}
		rest = rest[i+len(pair):]
	}
}
