package walsendertest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// A session of two connections, with a fault, as its transcript has it.
func TestServer_Transcript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &walsendertest.Server{
			Cluster: &walsendertest.Cluster{Sample: walsendertest.Sample{Files: []walsendertest.SampleFile{{Path: "base/5/90000", Size: 1 << 20}}}},
			Faults:  []walsendertest.Fault{walsendertest.CutFile("PG_VERSION", 1)}, InMemory: true,
		}
		server.StartTest(t)
		lead := leader(t, server)
		worker, _ := connect(t, server)
		worker.query(fmt.Sprintf("JOIN_BACKUP '%s'", lead.id))
		lead.query("LIST_TABLESPACES")
		worker.query("SEND_FILE ('base/5/90000')")
		worker.query("SEND_FILE ('PG_VERSION')")
		lead.query("JOIN_BACKUP 'x'")
		lead.query("STOP_BACKUP NOWAIT")
		worker.Conn.Close()
		synctest.Wait()
		_, err := lead.Conn.Write([]byte("X\x00\x00\x00\x04"))
		must(t, err)
		lead.Conn.Close()
		synctest.Wait()
		must(t, server.Close())
		got := server.Transcript()
		golden(t, "testdata/transcript.txt", got.String())
		for i, m := range got {
			if m.Seq != i+1 {
				t.Fatalf("message %d has the number %d", i, m.Seq)
			}
		}
		want := []string{"JOIN_BACKUP '" + lead.id + "'", "SEND_FILE ('base/5/90000')", "SEND_FILE ('PG_VERSION')"}
		if diff := cmp.Diff(want, got.Session("B").Commands()); diff != "" {
			t.Errorf("commands of B (-want +got):\n%s", diff)
		}
	})
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(name, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(name)
	must(t, err)
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got), -update rewrites it:\n%s", name, diff)
	}
}

// Of a long listing the transcript keeps the first rows only.
func TestServer_TranscriptIsBounded(t *testing.T) {
	server := walsendertest.NewServer(t, &walsendertest.Cluster{Sample: walsendertest.Sample{SmallFiles: 50_000}})
	c, _ := connect(t, server)
	c.query("LIST_FILES")
	got := server.Transcript()
	last := got[slices.IndexFunc(got, func(m walsendertest.Message) bool { return m.Text == "DataRow …" })]
	if len(got) > 1100 || last.Times < 49_000 {
		t.Errorf("the transcript has %d lines, %d rows are left out", len(got), last.Times)
	}
}

// hangingCluster hangs in the Stop of a backup, whatever the server says.
type hangingCluster struct {
	*walsendertest.Cluster
	release chan struct{}
}

func (h hangingCluster) StartBackup(ctx context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	start, b, err := h.Cluster.StartBackup(ctx, r)
	return start, hangingBackup{b, h.release}, err
}

type hangingBackup struct {
	protocol.RunningBackup
	release chan struct{}
}

func (h hangingBackup) Stop(ctx context.Context, wait bool, notice protocol.NoticeFunc) (protocol.BackupStop, error) {
	<-h.release
	return h.RunningBackup.Stop(ctx, wait, notice)
}

func TestServer_CloseSaysWhoHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := hangingCluster{walsendertest.Primary(), make(chan struct{})}
		server := &walsendertest.Server{Cluster: cluster, InMemory: true}
		must(t, server.Start())
		connect(t, server)
		leader(t, server).Send("STOP_BACKUP NOWAIT")
		time.Sleep(time.Minute)
		began := time.Now()
		err := server.Close()
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("Close took %v", took)
		}
		want := "the test server hangs in Close: session B has been at STOP_BACKUP NOWAIT for 1m5s"
		if err == nil || err.Error() != want {
			t.Errorf("Close says %v, want %s", err, want)
		}
		close(cluster.release)
		synctest.Wait()
	})
}

// unhappy is a test that goes wrong, as StartTest sees it.
type unhappy struct {
	*testing.T
	failed, skipped bool
	text            strings.Builder
	cleanups        []func()
}

func (u *unhappy) Cleanup(f func()) { u.cleanups = append(u.cleanups, f) }
func (u *unhappy) Failed() bool     { return u.failed }
func (u *unhappy) Skipped() bool    { return u.skipped }

func (u *unhappy) Errorf(format string, args ...any) {
	u.failed = true
	u.Logf(format, args...)
}

func (u *unhappy) Logf(format string, args ...any) { fmt.Fprintf(&u.text, format+"\n", args...) }

// A fault that did not happen fails a test, unless the test says otherwise or was skipped.
func TestServer_StartTest_Unused(t *testing.T) {
	fault := walsendertest.CutFile(big, 100)
	for name, tt := range map[string]struct {
		happens, allow, skipped, want bool
	}{
		"unused":  {want: true},
		"used":    {happens: true},
		"allowed": {allow: true},
		"skipped": {skipped: true},
	} {
		t.Run(name, func(t *testing.T) {
			u := &unhappy{T: t, skipped: tt.skipped}
			server := &walsendertest.Server{InMemory: true, AllowUnused: tt.allow, Faults: []walsendertest.Fault{fault}}
			server.StartTest(u)
			c := leader(t, server)
			if tt.happens {
				c.query(sendBig)
			}
			c.Conn.Close()
			u.cleanups[0]()
			if told := strings.Contains(u.text.String(), "faults that did not happen: ["+fault.String()+"]"); u.failed != tt.want || told != tt.want {
				t.Errorf("failed: %v, want %v, saying\n%s", u.failed, tt.want, &u.text)
			}
		})
	}
}

// The log of a test that failed has the end of a long transcript, and the whole on request.
func TestServer_StartTest_Transcript(t *testing.T) {
	for request, want := range map[string]int{"": 40, "all": 500} {
		t.Setenv("WALSENDERTEST_TRANSCRIPT", request)
		u := &unhappy{T: t}
		server := &walsendertest.Server{InMemory: true}
		server.StartTest(u)
		c, _ := connect(t, server)
		for range 100 {
			c.query("SHOW block_size")
		}
		c.Conn.Close()
		u.Errorf("a reason")
		u.cleanups[0]()
		said, _ := strings.CutPrefix(u.text.String(), "a reason\nwhat was said:\n")
		first, lines := said[:strings.Index(said, "\n")], strings.Split(strings.TrimSpace(said), "\n")
		short := strings.HasSuffix(first, " lines before; WALSENDERTEST_TRANSCRIPT=all shows them")
		if short {
			lines = lines[1:]
		}
		if short != (request == "") || len(lines) < want || short && len(lines) != want || !strings.HasPrefix(lines[len(lines)-1], "# A: ") {
			t.Errorf("WALSENDERTEST_TRANSCRIPT=%s: %d lines, want %d, in\n%s", request, len(lines), want, said)
		}
	}
}

// Close does not wait for clients: neither for one that is idle, nor for one that does
// not read, nor for one that is stalled, nor for one that never said a word.
func TestServer_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := &walsendertest.Cluster{Sample: walsendertest.Sample{Files: []walsendertest.SampleFile{{Path: "base/5/90000", Size: 1 << 40}}}}
		server := &walsendertest.Server{Cluster: cluster, InMemory: true, Faults: []walsendertest.Fault{walsendertest.Stall(big, 0)}}
		must(t, server.Start())
		connect(t, server)
		leader(t, server).Send("SEND_FILE ('base/5/90000')")
		leader(t, server).Send(sendBig)
		dial(t, server)
		synctest.Wait()
		began := time.Now()
		must(t, server.Close())
		if took := time.Since(began); took > time.Second || cluster.Backups() > 0 {
			t.Errorf("Close took %v, %d backups run", took, cluster.Backups())
		}
		if _, err := server.Dial(t.Context()); err == nil {
			t.Error("a connection after Close")
		}
	})
}

// Shutdown tells the sessions that the server goes (§1.9).
func TestServer_Shutdown_1_9(t *testing.T) {
	server := walsendertest.NewServer(t, nil)
	c := leader(t, server)
	shut := make(chan error)
	go func() { shut <- server.Config.Shutdown(context.Background()) }()
	got := c.answer()
	if want := []string{"ErrorResponse FATAL 57P01 terminating connection due to administrator command", "EOF"}; !cmp.Equal(want, got) {
		t.Errorf("the session was told %q", got)
	}
	c.Conn.Close()
	must(t, <-shut)
}

// TLS comes by SSLRequest, or at once with ALPN (§1.2), and its certificate is trusted
// by those who have it.
func TestServer_TLS_1_2(t *testing.T) {
	server := &walsendertest.Server{TLS: true}
	server.StartTest(t)
	root := t.TempDir() + "/root.crt"
	must(t, os.WriteFile(root, server.RootPEM(), 0o600))
	_, port, _ := strings.Cut(server.Addr().String(), ":")
	for _, extra := range []string{"sslmode=verify-full sslrootcert=" + root, "sslmode=disable"} {
		config, err := pgconn.ParseConfig("host=127.0.0.1 user=backup replication=true port=" + port + " " + extra)
		must(t, err)
		conn, err := pgconn.ConnectConfig(t.Context(), config)
		must(t, err)
		must(t, conn.Close(t.Context()))
	}
	config, err := server.ConnConfig()
	must(t, err)
	config.RuntimeParams["replication"] = "true"
	conn, err := pgconn.ConnectConfig(t.Context(), config)
	must(t, err)
	if _, ok := conn.Conn().(*tls.Conn); !ok {
		t.Error("ConnConfig leads to a connection without TLS")
	}
	must(t, conn.Close(t.Context()))
	for protocolName, want := range map[string]bool{"postgresql": true, "": false} {
		conn, err := server.Dial(t.Context())
		must(t, err)
		config := server.ClientTLS()
		if protocolName != "" {
			config.NextProtos = []string{protocolName}
		}
		got := talk(t, tls.Client(conn, config)).tryStartup()
		if (got == "ReadyForQuery I") != want {
			t.Errorf("direct TLS with the protocol %q: %s", protocolName, got)
		}
	}
}

// tryStartup is how the greeting ends.
func (c *rawClient) tryStartup() string {
	m := wire.StartupMessage{Major: 3, Parameters: map[string]string{"user": "backup", "replication": "true"}}
	if _, err := c.Conn.Write(m.Encode(nil)); err != nil {
		return err.Error()
	}
	for {
		kind, body, err := c.Next()
		if err != nil {
			return err.Error()
		}
		if kind == 'Z' {
			return "ReadyForQuery " + string(body)
		}
	}
}

// A CancelRequest reaches the session through the wire (§1.3).
func TestServer_Cancel_1_3(t *testing.T) {
	entered := make(chan struct{})
	server := walsendertest.NewServer(t, slowList{walsendertest.Primary(), entered})
	config, err := server.ConnConfig()
	must(t, err)
	config.RuntimeParams["replication"] = "true"
	conn, err := pgconn.ConnectConfig(t.Context(), config)
	must(t, err)
	defer conn.Close(t.Context())
	go func() {
		<-entered
		conn.CancelRequest(context.Background())
	}()
	_, err = conn.Exec(t.Context(), "LIST_TABLESPACES").ReadAll()
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || refused.Code != protocol.CodeQueryCanceled {
		t.Errorf("the command ended with %v", err)
	}
}

// slowList lists tablespaces until it is cancelled.
type slowList struct {
	*walsendertest.Cluster
	entered chan struct{}
}

func (s slowList) Tablespaces(ctx context.Context, _ bool) ([]protocol.Tablespace, error) {
	close(s.entered)
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// What is no startup packet gets the server's answer.
func TestServer_Malformed(t *testing.T) {
	server := walsendertest.NewServer(t, nil)
	c := dial(t, server)
	_, err := c.Conn.Write([]byte{0, 0, 0, 9, 0, 9, 0, 0, 0})
	must(t, err)
	if got := c.answer(); !strings.HasPrefix(got[0], "ErrorResponse FATAL 0A000") {
		t.Errorf("the answer is %q", got)
	}
	long, _ := connect(t, server)
	_, err = long.Conn.Write([]byte("Q\x7f\xff\xff\xff and so on"))
	must(t, err)
	if got := long.answer(); !strings.HasPrefix(got[0], "ErrorResponse FATAL 08P01") {
		t.Errorf("the answer is %q", got)
	}
}

// wal_sender_timeout passes on the bubble's clock (§7.1).
func TestServer_SenderTimeout_7_1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &walsendertest.Server{
			Cluster:  &walsendertest.Cluster{Sample: walsendertest.Sample{Files: []walsendertest.SampleFile{{Path: "base/5/90000", Size: 1 << 30}}}},
			Config:   walsender.Server{SenderTimeout: time.Minute},
			InMemory: true,
		}
		server.StartTest(t)
		c := leader(t, server)
		c.Send("SEND_FILE ('base/5/90000')")
		began := time.Now()
		time.Sleep(time.Hour)
		if _, err := io.Copy(io.Discard, c.Conn); err != nil {
			t.Errorf("the connection ended with %v", err)
		}
		if took := time.Since(began); took > time.Hour+time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
