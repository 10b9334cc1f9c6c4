package acceptance_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// The metrics of serve tell of a backup what LIST_BACKUPS tells, and of those that are over
// how they ended. None of them has the id of a backup.
func TestMetrics(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{DamagedPages: []walsendertest.DamagedPage{{Path: "base/1/20000", Block: 2}}}.Write(data))
	s := serveWithMetrics(t, data)

	none := s.scrape(t)
	none.expect(t, `pgparallel_backups{state="running"}`, 0)
	none.expect(t, "pgparallel_sent_bytes_total", 0)
	none.expect(t, "pgparallel_digest_cache_hits_total", 0)
	none.expect(t, `pgparallel_backups_finished_total{result="completed"}`, 0)
	if !none.has("go_goroutines") || !none.has("process_open_fds") || !none.has("pgparallel_build_info") {
		t.Error("metrics of the process, or build_info, are missing")
	}

	leader := s.connect(t)
	ask(t, leader, "LIST_TABLESPACES PROGRESS")
	id := ask(t, leader, "START_BACKUP LABEL 'nightly' MAX_RATE 32768")[0][3]
	worker := s.connect(t)
	ask(t, worker, "JOIN_BACKUP '"+id+"'")
	ask(t, worker, "SEND_FILE ('base/1/20001')")
	ask(t, leader, "SEND_FILE ('global/pg_control')")
	running := s.scrape(t)
	status := s.shown(t)
	b := fmt.Sprintf("{backup=%q}", id[:8])
	running.expect(t, `pgparallel_backups{state="running"}`, 1)
	running.expect(t, `pgparallel_backups{state="starting"}`, 0)
	running.expect(t, "pgparallel_sessions", 2)
	running.expect(t, "pgparallel_sessions_limit", 10)
	running.expect(t, "pgparallel_backups_limit", 10)
	running.expect(t, "pgparallel_backup_sent_bytes"+b, float64(status.Streamed))
	running.expect(t, "pgparallel_sent_bytes_total", float64(status.Streamed))
	running.expect(t, "pgparallel_backup_total_bytes"+b, float64(status.Total))
	running.expect(t, "pgparallel_backup_files_total"+b, 2)
	running.expect(t, "pgparallel_files_total", 2)
	running.expect(t, "pgparallel_backup_sessions"+b, 2)
	running.expect(t, "pgparallel_backup_max_rate_bytes_per_second"+b, 32<<20)
	running.expect(t, "pgparallel_backup_checksum_failures_total"+b, 0)
	if status.Streamed == 0 || math.Abs(running.values["pgparallel_backup_throttled_seconds_total"+b]-float64(status.Throttled)/1000) > 0.001 {
		t.Errorf("throttled for %v s, want %d ms", running.values["pgparallel_backup_throttled_seconds_total"+b], status.Throttled)
	}
	if strings.Contains(running.text, id) || strings.Contains(running.text, id[:9]) {
		t.Error("the metrics have the id of a backup")
	}

	ask(t, leader, "STOP_BACKUP")
	over := s.scrape(t)
	over.expect(t, `pgparallel_backups_finished_total{result="completed"}`, 1)
	over.expect(t, `pgparallel_backups{state="running"}`, 0)
	over.expect(t, "pgparallel_sent_bytes_total", float64(status.Streamed))
	if over.has("pgparallel_backup_sent_bytes") || !over.has(`pgparallel_backup_last_end_timestamp_seconds{result="completed"}`) {
		t.Error("a backup that is over is told of as one that runs")
	}

	ask(t, leader, "START_BACKUP")
	must(t, leader.Close(t.Context()))
	must(t, worker.Close(t.Context()))
	run(t, backup(t, s.socketDir, filepath.Join(t.TempDir(), "copy"), "--no-sync"))
	s.stop(t, func() {
		const failed = `pgparallel_backups_finished_total{result="failed"}` // its leader's end is noticed some time
		ended := s.scrape(t)
		for deadline := time.Now().Add(patience); ended.values[failed] == 0 && time.Now().Before(deadline); {
			ended = s.scrape(t)
		}
		ended.expect(t, failed, 1)
		ended.expect(t, `pgparallel_backups_finished_total{result="damaged"}`, 1)
		ended.expect(t, "pgparallel_checksum_failures_total", 1)
	})
}

// /healthz says that the process lives, /readyz whether a backup could be started.
func TestMetrics_Probes(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{}.Write(data))
	s := serveWithMetrics(t, data)
	s.get(t, "/healthz", http.StatusOK)
	s.get(t, "/readyz", http.StatusOK)
	control := filepath.Join(data, "global", "pg_control")
	must(t, os.Rename(control, control+".away"))
	if why := s.get(t, "/readyz", http.StatusServiceUnavailable); !strings.Contains(why, "pg_control") {
		t.Errorf("not ready because of %q", why)
	}
	s.get(t, "/healthz", http.StatusOK)
	s.get(t, "/", http.StatusNotFound)
	must(t, os.Rename(control+".away", control))
	s.get(t, "/readyz", http.StatusOK)
	transactions := filepath.Join(data, "pg_xact")
	must(t, os.Rename(transactions, transactions+".away"))
	if why := s.get(t, "/readyz", http.StatusServiceUnavailable); !strings.Contains(why, `directory "pg_xact" is missing`) {
		t.Errorf("not ready because of %q", why)
	}
	must(t, os.Rename(transactions+".away", transactions))
	socket := filepath.Join(s.socketDir, ".s.PGSQL.5433")
	must(t, os.Rename(socket, socket+".away"))
	if why := s.get(t, "/readyz", http.StatusServiceUnavailable); !strings.Contains(why, "was removed or replaced") {
		t.Errorf("not ready because of %q", why)
	}
	must(t, os.WriteFile(socket, nil, 0o600))
	s.get(t, "/readyz", http.StatusServiceUnavailable)
	must(t, os.Rename(socket+".away", socket))
	s.get(t, "/readyz", http.StatusOK)

	second := run(t, command(t, "serve", "-D", data, "-k", socketDir(t), "--metrics-listen="+s.metrics))
	want := fmt.Sprintf("could not listen on %q for metrics: bind: address already in use", s.metrics)
	if second.status() != 1 || !strings.Contains(second.stderr.String(), want) {
		t.Errorf("a server on the port of another: exit status %d, %s", second.status(), second.stderr.String())
	}
	s.stop(t, nil)
	if conn, err := net.Dial("tcp", s.metrics); err == nil {
		conn.Close()
		t.Error("the port is still there")
	}
}

// metricsServer is a "pgparallel serve" with metrics.
type metricsServer struct {
	*server
	metrics string // host and port
}

var metricsAt = regexp.MustCompile(`metrics are at http://([^/]*)/metrics`)

func serveWithMetrics(t *testing.T, data string, options ...string) *metricsServer {
	t.Helper()
	s := serve(t, data, append(options, "--metrics-listen=0")...)
	match := metricsAt.FindStringSubmatch(s.stderr.String())
	if match == nil || !strings.HasPrefix(match[1], "127.0.0.1:") {
		t.Fatalf("the log tells no address of this machine:\n%s", s.stderr.String())
	}
	return &metricsServer{s, match[1]}
}

// stop ends the server; what was to be seen is looked at before.
func (s *metricsServer) stop(t *testing.T, look func()) {
	t.Helper()
	if look != nil {
		look()
	}
	s.signal(unix.SIGTERM)
	s.wait(t)
	if s.status() != 0 {
		t.Errorf("exit status %d", s.status())
	}
}

func (s *metricsServer) get(t *testing.T, path string, status int) string {
	t.Helper()
	answer, err := http.Get("http://" + s.metrics + path)
	must(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	if answer.StatusCode != status {
		t.Errorf("%s: %s, want %d\n%s", path, answer.Status, status, body)
	}
	return string(body)
}

// connect opens a replication connection.
func (s *metricsServer) connect(t *testing.T) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=%s port=5433 user=postgres replication=true", s.socketDir))
	must(t, err)
	return conn
}

// ask runs a command, and returns its rows, if it has any.
func ask(t *testing.T, conn *pgconn.PgConn, command string) (rows [][]string) {
	t.Helper()
	if strings.HasPrefix(command, "SEND_FILE") {
		_, err := conn.CopyTo(t.Context(), io.Discard, command)
		must(t, err)
		return nil
	}
	results, err := conn.Exec(t.Context(), command).ReadAll()
	must(t, err)
	for _, row := range results[0].Rows {
		texts := make([]string, len(row))
		for i, value := range row {
			texts[i] = string(value)
		}
		rows = append(rows, texts)
	}
	return rows
}

// statusRow is what the test compares of the one backup that status --json shows.
type statusRow struct {
	Streamed  int64 `json:"backup_streamed"`
	Total     int64 `json:"backup_total"`
	Throttled int64 `json:"throttled_ms"`
}

func (s *metricsServer) shown(t *testing.T) statusRow {
	t.Helper()
	p := succeed(t, command(t, "status", "--json", "-h", s.socketDir, "-p", "5433", "-U", "postgres"))
	var shown struct{ Backups []statusRow }
	must(t, json.Unmarshal(p.stdout.Bytes(), &shown))
	if len(shown.Backups) != 1 {
		t.Fatalf("status shows %s", p.stdout.String())
	}
	return shown.Backups[0]
}

// scraped is what /metrics said.
type scraped struct {
	text   string
	values map[string]float64 // by name and labels
}

// scrape gets the metrics, and holds them to the rules of promlint.
func (s *metricsServer) scrape(t *testing.T) scraped {
	t.Helper()
	text := s.get(t, "/metrics", http.StatusOK)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	must(t, err)
	for _, p := range problems {
		t.Errorf("metric %s: %s", p.Metric, p.Text)
	}
	values := map[string]float64{}
	for line := range strings.Lines(text) {
		var value float64
		name := strings.TrimSpace(line)
		if at := strings.LastIndexByte(name, ' '); at > 0 && name[0] != '#' {
			_, err := fmt.Sscan(name[at+1:], &value)
			must(t, err)
			values[name[:at]] = value
		}
	}
	return scraped{text, values}
}

func (s scraped) has(name string) bool {
	return strings.Contains("\n"+s.text, "\n"+name+" ") || strings.Contains(s.text, "\n"+name+"{")
}

func (s scraped) expect(t *testing.T, name string, want float64) {
	t.Helper()
	if got, told := s.values[name]; !told || got != want {
		t.Errorf("%s is %v, %v, want %v", name, got, told, want)
	}
}
