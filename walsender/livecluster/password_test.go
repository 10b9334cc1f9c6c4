package livecluster_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pgparallel/pgparallel/walsender/livecluster"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// keptLog is a log whose lines are kept.
type keptLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (k *keptLog) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.Write(p)
}

func (k *keptLog) logger() *zap.Logger {
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(k), zap.DebugLevel))
}

func (k *keptLog) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.String()
}

// TestOpen_Password connects with passwords, right and wrong: none is ever shown.
func TestOpen_Password(t *testing.T) {
	t.Parallel()
	c := newPrimary(t, nil)
	sql(t, c, "ALTER ROLE backup PASSWORD 'sesame'; ALTER ROLE passer PASSWORD 'sesame'")
	hba := "local all postgres trust\nlocal all all scram-sha-256\nlocal replication all scram-sha-256\n"
	must(t, os.WriteFile(filepath.Join(c.Dir, "pg_hba.conf"), []byte(hba), 0o600))
	sql(t, c, "SELECT pg_reload_conf()")

	var log keptLog
	config := livecluster.Config{ConnString: as(c, "backup") + " password=sesame", PassThrough: as(c, "passer") + " password=sesame", Logger: log.logger()}
	wrong := config
	wrong.ConnString = as(c, "backup") + " password='open sesame'"
	_, err := livecluster.Open(t.Context(), c.Dir, wrong)
	if err == nil || !strings.Contains(err.Error(), "password authentication failed") || strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
	live, err := livecluster.Open(t.Context(), c.Dir, config)
	must(t, err)
	s := serveCluster(t, c, live)
	session, idle := replicate(t, s.through()), replicate(t, s.through())
	row(t, session, "SHOW work_mem")
	row(t, session, "START_BACKUP FAST")
	row(t, session, "STOP_BACKUP")
	sql(t, c, "ALTER ROLE backup PASSWORD 'closed'; ALTER ROLE passer PASSWORD 'closed'")
	_, err = command(t, session, "START_BACKUP")
	expectCode(t, err, "28P01")
	_, err = command(t, replicate(t, s.through()), "SHOW work_mem")
	expectCode(t, err, "28P01")
	must(t, c.Stop(t.Context(), postgres.Fast))
	_, err = command(t, idle, "START_BACKUP")
	expectCode(t, err, "57P03")
	if text := log.String(); strings.Contains(text, "sesame") {
		t.Errorf("the log tells the password:\n%s", text)
	}
}
