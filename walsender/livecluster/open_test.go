package livecluster_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pgparallel/pgparallel/walsender/livecluster"
)

// TestOpen_Refusals holds every error of Open to one line that says what to do.
func TestOpen_Refusals(t *testing.T) {
	c := newPrimary(t, nil)
	sql(t, c, "CREATE ROLE poor LOGIN; CREATE ROLE \"half one\" LOGIN; GRANT EXECUTE ON FUNCTION pg_backup_start TO \"half one\"; CREATE ROLE blind LOGIN; CREATE ROLE still LOGIN; REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC; GRANT EXECUTE ON FUNCTION pg_control_system() TO poor, backup, still, \"half one\";"+
		"REVOKE EXECUTE ON FUNCTION pg_export_snapshot() FROM PUBLIC; GRANT EXECUTE ON FUNCTION pg_export_snapshot() TO poor, backup, \"half one\"")
	other := newPrimary(t, nil)
	stopped := newPrimary(t, nil)
	must(t, stopped.Stop(t.Context(), "fast"))
	backup, passer := as(c, "backup"), as(c, "passer")

	for name, test := range map[string]struct {
		dir    func(*testing.T) string
		config livecluster.Config
		want   []string
	}{
		"no connection string": {
			config: livecluster.Config{ConnString: "host"},
			want:   []string{"invalid connection string for --cluster"},
		},
		"nobody answers": {
			config: livecluster.Config{ConnString: "host=/nowhere user=backup password=geheim"},
			want:   []string{"could not connect to the running cluster", "/nowhere", "must lead to the server"},
		},
		"no such role": {
			config: livecluster.Config{ConnString: as(c, "nobody") + " password=geheim"},
			want:   []string{`role "nobody" does not exist`},
		},
		"no such role for the pass-through": {
			config: livecluster.Config{ConnString: backup, PassThrough: as(c, "nobody") + " password=geheim"},
			want:   []string{"pass-through: ", `role "nobody" does not exist`},
		},
		"no data directory": {
			dir:    func(t *testing.T) string { return t.TempDir() },
			config: livecluster.Config{ConnString: backup, PassThrough: passer},
			want:   []string{"is not a PostgreSQL data directory"},
		},
		"a stopped cluster": {
			dir:    func(*testing.T) string { return stopped.Dir },
			config: livecluster.Config{ConnString: as(stopped, "backup")},
			want:   []string{"no server runs on", "start the server, or leave --cluster out"},
		},
		"a stopped cluster's directory": {
			dir:    func(*testing.T) string { return stopped.Dir },
			config: livecluster.Config{ConnString: backup},
			want:   []string{"no server runs on", "start the server, or leave --cluster out"},
		},
		"another cluster": {
			dir:    func(*testing.T) string { return other.Dir },
			config: livecluster.Config{ConnString: backup, PassThrough: passer},
			want:   []string{"the server is not the one that runs on", "system identifier", "Give the connection string"},
		},
		"no right at all": {
			config: livecluster.Config{ConnString: as(c, "poor"), PassThrough: passer},
			want:   []string{"GRANT EXECUTE ON FUNCTION " + backupFunctions(c.Programs) + " TO poor;"},
		},
		"one right missing": {
			config: livecluster.Config{ConnString: as(c, "'half one'"), PassThrough: passer},
			want:   []string{`GRANT EXECUTE ON FUNCTION pg_backup_stop(boolean) TO "half one";`},
		},
		"no pg_control_system": {
			config: livecluster.Config{ConnString: as(c, "blind"), PassThrough: passer},
			want:   []string{"GRANT EXECUTE ON FUNCTION pg_control_system() TO blind;"},
		},
		"no pg_export_snapshot": {
			config: livecluster.Config{ConnString: as(c, "still"), PassThrough: passer},
			want:   []string{"GRANT EXECUTE ON FUNCTION pg_export_snapshot() TO still;"},
		},
		"a superuser passes through": {
			config: livecluster.Config{ConnString: backup, PassThrough: as(c, "postgres")},
			want:   []string{"is a superuser", "--passthrough-superuser=postgres"},
		},
		"a superuser for all": {
			config: livecluster.Config{ConnString: as(c, "postgres")},
			want:   []string{"is a superuser"},
		},
		"no REPLICATION": {
			config: livecluster.Config{ConnString: backup, PassThrough: backup},
			want:   []string{`ALTER ROLE "backup" REPLICATION;`},
		},
		"another cluster's walsender": {
			config: livecluster.Config{ConnString: backup, PassThrough: as(other, "passer")},
			want:   []string{"the pass-through leads to another cluster"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := c.Dir
			if test.dir != nil {
				dir = test.dir(t)
			}
			var log bytes.Buffer
			test.config.Logger = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&log), zap.DebugLevel))
			live, err := livecluster.Open(t.Context(), dir, test.config)
			if err == nil {
				live.Close()
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
			if text := err.Error() + log.String(); strings.Contains(err.Error(), "\n") || strings.Contains(text, "geheim") {
				t.Errorf("error is not one line, or tells the password: %q", text)
			}
		})
	}
}

// TestOpen_Superuser allows a superuser for the pass-through that is named.
func TestOpen_Superuser(t *testing.T) {
	c := newPrimary(t, nil)
	live, err := livecluster.Open(t.Context(), c.Dir, livecluster.Config{ConnString: as(c, "postgres"), PassThroughSuperuser: "postgres"})
	must(t, err)
	must(t, live.Close())
}

// TestOpen_MinimalRole serves with the documented role alone: nothing is passed
// through then, and the server answers what it can.
func TestOpen_MinimalRole(t *testing.T) {
	c := newPrimary(t, nil)
	live, err := livecluster.Open(t.Context(), c.Dir, livecluster.Config{ConnString: as(c, "backup")})
	must(t, err)
	if _, err := live.DialWALSender(t.Context(), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
	s := serveCluster(t, c, live)
	direct := row(t, replicate(t, c.ConnString("postgres")), "IDENTIFY_SYSTEM")
	passed := row(t, replicate(t, s.through()), "IDENTIFY_SYSTEM")
	if direct != passed {
		t.Errorf("IDENTIFY_SYSTEM is %s, PostgreSQL says %s", passed, direct)
	}
	_, err = command(t, replicate(t, s.through()), `CREATE_REPLICATION_SLOT "x" TEMPORARY PHYSICAL`)
	expectCode(t, err, "0A000")
	if _, err := s.backupTo(t.Context(), t, filepath.Join(t.TempDir(), "copy"), nil); err != nil {
		t.Error(err)
	}
}

// TestGreeting_1_5_LiveCluster compares the parameters with PostgreSQL's own.
func TestGreeting_1_5_LiveCluster(t *testing.T) {
	s := serve(t, newPrimary(t, nil))
	direct, passed := replicate(t, s.ConnString("postgres")), replicate(t, s.through())
	for _, name := range []string{"server_version", "in_hot_standby", "integer_datetimes", "standard_conforming_strings", "DateStyle", "IntervalStyle"} {
		if want, got := direct.ParameterStatus(name), passed.ParameterStatus(name); want != got {
			t.Errorf("%s is %q, PostgreSQL says %q", name, got, want)
		}
	}
}

// TestOpen_Pooler refuses a connection whose server process is not the one that was
// promised.
func TestOpen_Pooler(t *testing.T) {
	c := newPrimary(t, nil)
	dir := t.TempDir()
	proxyKey(t, c, dir)
	config := configFor(t, c)
	config.ConnString = strings.Replace(config.ConnString, c.SocketDir, dir, 1)
	_, err := livecluster.Open(t.Context(), c.Dir, config)
	if err == nil || !strings.Contains(err.Error(), "not to a connection pooler") {
		t.Errorf("error %v", err)
	}
}
