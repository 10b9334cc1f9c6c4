package livecluster_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
)

// TestOpen_Refusals holds every error of Open to one line that says what to do.
func TestOpen_Refusals(t *testing.T) {
	t.Parallel()
	c := newPrimary(t, nil)
	sql(t, c, "CREATE ROLE poor LOGIN; CREATE ROLE \"half one\" LOGIN; GRANT EXECUTE ON FUNCTION pg_backup_start TO \"half one\"; CREATE ROLE blind LOGIN; CREATE ROLE still LOGIN; REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC; GRANT EXECUTE ON FUNCTION pg_control_system() TO poor, backup, still, \"half one\";"+
		"REVOKE EXECUTE ON FUNCTION pg_export_snapshot() FROM PUBLIC; GRANT EXECUTE ON FUNCTION pg_export_snapshot() TO poor, backup, \"half one\"")
	other := newForeignPrimary(t)
	stopped := newPrimary(t, nil)
	must(t, stopped.Stop(t.Context(), "fast"))
	backup, passer := as(c, "backup"), as(c, "passer")

	for name, test := range map[string]struct {
		dir    func(*testing.T) string
		config livecluster.Config
		want   []string
		never  string // what does not follow from the error
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
			never:  "must lead to",
		},
		"no such role for the pass-through": {
			config: livecluster.Config{ConnString: backup, PassThrough: as(c, "nobody") + " password=geheim"},
			want:   []string{"pass-through: ", `role "nobody" does not exist`},
			never:  "must lead to",
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
			want:   []string{"the server is not the one that runs on", "system identifier", "give the connection string"},
		},
		"no right at all": {
			config: livecluster.Config{ConnString: as(c, "poor"), PassThrough: passer},
			want:   []string{"GRANT EXECUTE ON FUNCTION " + c.Programs.BackupFunctions() + " TO poor;"},
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
			want:   []string{"is a superuser; name a role", "--passthrough-superuser=postgres"},
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
			if test.never != "" && strings.Contains(err.Error(), test.never) {
				t.Errorf("error %q tells a hint that is none", err)
			}
			if text := err.Error() + log.String(); strings.Contains(err.Error(), "\n") || strings.Contains(text, "geheim") {
				t.Errorf("error is not one line, or tells the password: %q", text)
			}
		})
	}
}

// TestOpen_Superuser allows a superuser for the pass-through that is named.
func TestOpen_Superuser(t *testing.T) {
	t.Parallel()
	c := newPrimary(t, nil)
	live, err := livecluster.Open(t.Context(), c.Dir, livecluster.Config{ConnString: as(c, "postgres"), PassThroughSuperuser: "postgres"})
	must(t, err)
	must(t, live.Close())
}

// TestOpen_MinimalRole serves with the documented role alone: nothing is passed
// through then, and the server answers what it can.
func TestOpen_MinimalRole(t *testing.T) {
	t.Parallel()
	c := newPrimary(t, nil)
	live, err := livecluster.Open(t.Context(), c.Dir, livecluster.Config{ConnString: as(c, "backup")})
	must(t, err)
	if _, err := live.DialWALSender(t.Context(), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
	s := serveCluster(t, c, live)
	// PostgreSQL writes WAL by itself at times: then once more.
	for {
		before := row(t, replicate(t, c.ConnString("postgres")), "IDENTIFY_SYSTEM")
		passed := row(t, replicate(t, s.through()), "IDENTIFY_SYSTEM")
		if after := row(t, replicate(t, c.ConnString("postgres")), "IDENTIFY_SYSTEM"); before != after {
			continue
		}
		if before != passed {
			t.Errorf("IDENTIFY_SYSTEM is %s, PostgreSQL says %s", passed, before)
		}
		break
	}
	_, err = command(t, replicate(t, s.through()), `CREATE_REPLICATION_SLOT "x" TEMPORARY PHYSICAL`)
	expectCode(t, err, "0A000")
	if _, err := s.backupTo(t.Context(), t, filepath.Join(t.TempDir(), "copy"), nil); err != nil {
		t.Error(err)
	}
}

// TestOpen_PassThroughRefused has PostgreSQL refuse the walsender for every reason
// there is: without --passthrough the cluster is served all the same, and the log says
// why nothing is passed through; with it the error says what mends that.
func TestOpen_PassThroughRefused(t *testing.T) {
	t.Parallel()
	const local = "local all all trust\n"
	for name, test := range map[string]struct {
		settings   map[string]string
		hba        string
		busy       bool   // one walsender runs, of one
		logged     string // without --passthrough
		hint       string // with it
		afterwards string // what a replication command gets at last
		noBackups  bool
	}{
		"no line": {
			hba: local, afterwards: "0A000",
			logged: "no pg_hba.conf entry for replication connection", hint: `add a line to pg_hba.conf, and reload: local replication "passer" METHOD`,
		},
		"a reject line": {
			hba: local + "local replication all reject\n", afterwards: "0A000",
			logged: "pg_hba.conf rejects replication connection", hint: `local replication "passer" METHOD`,
		},
		"a password": {
			hba: local + "local replication all scram-sha-256\n", afterwards: "0A000",
			logged: "password authentication failed", hint: `give the password of role "passer"`,
		},
		"none allowed": {
			settings: map[string]string{"max_wal_senders": "0"}, afterwards: "0A000",
			logged: "exceeds max_wal_senders (currently 0)", hint: "max_wal_senders is 0: raise it and restart PostgreSQL",
		},
		"no WAL to send": {
			settings: map[string]string{"max_wal_senders": "0", "wal_level": "minimal"}, afterwards: "0A000", noBackups: true,
			logged: "exceeds max_wal_senders (currently 0)", hint: "max_wal_senders is 0",
		},
		"all busy": {
			settings: map[string]string{"max_wal_senders": "1"}, busy: true,
			logged: "exceeds max_wal_senders (currently 1)", hint: "all of max_wal_senders are in use",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newPrimary(t, test.settings)
			sql(t, c, "ALTER ROLE backup REPLICATION")
			if test.hba != "" {
				must(t, os.WriteFile(filepath.Join(c.Dir, "pg_hba.conf"), []byte(test.hba), 0o600))
				sql(t, c, "SELECT pg_reload_conf()")
				wait(t, "the file is read", func() bool {
					conn, err := pgconn.Connect(t.Context(), as(c, "passer")+" replication=true")
					if err == nil {
						closeConn(conn)
					}
					return err != nil
				})
			}
			var other *pgconn.PgConn
			if test.busy {
				other = replicate(t, as(c, "passer"))
			}
			_, err := livecluster.Open(t.Context(), c.Dir, configFor(t, c))
			if err == nil || !strings.HasPrefix(err.Error(), "pass-through: ") || !strings.Contains(err.Error(), test.logged) ||
				!strings.Contains(err.Error(), test.hint) || strings.Contains(err.Error(), "must lead to") {
				t.Errorf("with a connection string of its own: %v", err)
			}
			var log keptLog
			live, err := livecluster.Open(t.Context(), c.Dir, livecluster.Config{ConnString: as(c, "backup"), Logger: log.logger()})
			must(t, err)
			s := serveCluster(t, c, live)
			if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "no commands are passed through to the cluster: ") || !strings.Contains(text, test.logged) {
				t.Errorf("the log says %q", text)
			}
			if !test.noBackups {
				_, err = s.backupTo(t.Context(), t, filepath.Join(t.TempDir(), "copy"), func(o *client.Options) {
					if test.busy {
						o.WAL.Method = client.WALFetch
					}
				})
				must(t, err)
			}
			if test.busy {
				_, err = command(t, replicate(t, s.through()), `CREATE_REPLICATION_SLOT "x" TEMPORARY PHYSICAL`)
				expectCode(t, err, "53300")
				closeConn(other)
				wait(t, "the walsender is gone", func() bool {
					return sql(t, c, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'") == "0"
				})
			}
			_, err = command(t, replicate(t, s.through()), `CREATE_REPLICATION_SLOT "x" TEMPORARY PHYSICAL`)
			if test.afterwards == "" {
				must(t, err)
			} else {
				expectCode(t, err, test.afterwards)
			}
		})
	}
}

// TestGreeting_1_5_LiveCluster compares the parameters with PostgreSQL's own.
func TestGreeting_1_5_LiveCluster(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
