package walsendertest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/walsender"
)

// patience is how long Close waits for sessions to end.
const patience = 5 * time.Second

// Server is a walsender.Server for tests of clients, in the manner of
// net/http/httptest. Between it and each client is a session that records what is said
// and lets go wrong what Faults name.
//
// Set the fields, call [Server.Start], and [Server.Close] in the end; in a test
// [NewServer] or [Server.StartTest] do that. The zero value serves [Primary] on
// loopback. It may be used from many goroutines once it has started.
type Server struct {
	// Cluster is what is served; nil means Primary(). It may be any, a *Cluster of
	// this package or one on disk.
	Cluster walsender.Cluster

	// Faults are what goes wrong, in the order in which messages pass them.
	Faults []Fault

	// AllowUnused lets a test pass in which some of Faults did not happen
	// ([Server.Unused]). Without it [Server.StartTest] fails such a test: what it
	// proved, it proved without them.
	AllowUnused bool

	// InMemory makes connections in memory, by [Server.Dial] and
	// [Server.ConnConfig] only. Such a server works inside of a testing/synctest
	// bubble: everything that waits does so for a channel or for time, and there is
	// no cache of pages, whose ticker would hide that a bubble is stuck. Otherwise
	// it listens on a free port of 127.0.0.1.
	InMemory bool

	// Unix makes it listen on a Unix socket, in a directory of its own, instead of on
	// loopback: the socket of the port 5433, as libpq names it.
	Unix bool

	// TLS offers TLS with a certificate that is made for the server; see
	// [Server.ClientTLS].
	TLS bool

	// Config is the server itself, for its further fields: MaxWALSenders,
	// SenderTimeout, Backups, Logger (nil: no log). Cluster is set by Start; TLSConfig is not
	// used. Its Shutdown tells clients that the server goes (§1.9).
	Config walsender.Server

	listener    net.Listener
	socketDir   string // of a Unix socket; empty: there is none
	certificate *certificate
	faults      []*armedFault
	record      recorder
	ctx         context.Context // ends with the server
	stop        context.CancelFunc
	running     sync.WaitGroup // the goroutines that accept and serve
	closing     sync.Once
	closeError  error

	mu       sync.Mutex
	count    int               // sessions so far
	sessions map[*session]bool // the sessions there are
	leader   *session          // the session that last started a backup
}

// TB is the part of [testing.TB] that this package needs. With it programs that are
// no tests can import the package without importing testing.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Skipped() bool
	Logf(format string, args ...any)
}

// NewServer starts a server on loopback that is closed when the test ends.
func NewServer(t TB, cluster walsender.Cluster, faults ...Fault) *Server {
	t.Helper()
	s := &Server{Cluster: cluster, Faults: faults}
	s.StartTest(t)
	return s
}

// StartTest starts the server and closes it when the test ends. The test fails where
// Start or Close does, and where a fault did not happen, unless AllowUnused is set. After
// a test that failed for any reason, the log has the last 40 lines of the transcript, or,
// where the environment has WALSENDERTEST_TRANSCRIPT=all, the whole.
func (s *Server) StartTest(t TB) {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("%v", err)
		}
		if unused := s.Unused(); len(unused) > 0 && !s.AllowUnused && !t.Skipped() {
			t.Errorf("faults that did not happen: %v", unused)
		}
		if t.Failed() {
			t.Logf("what was said:\n%s", logged(s.Transcript()))
		}
	})
}

// logged is of a transcript what the log of a failed test has: its end, where the reason
// is most often. The transcript of a whole backup has thousands of lines.
func logged(t Transcript) string {
	const end = 40
	lines := strings.SplitAfter(t.String(), "\n") // the last one is empty
	before := len(lines) - 1 - end
	if before <= 0 || os.Getenv("WALSENDERTEST_TRANSCRIPT") == "all" {
		return t.String()
	}
	return fmt.Sprintf("… %d lines before; WALSENDERTEST_TRANSCRIPT=all shows them\n%s", before, strings.Join(lines[before:], ""))
}

// Start begins to serve. It fails where there is no port, and where the Cluster's
// Sample cannot be. A server is started once.
func (s *Server) Start() error {
	if s.Cluster == nil {
		s.Cluster = Primary()
	}
	if s.Config.Logger == nil {
		s.Config.Logger = zap.NewNop() // the transcript tells
	}
	if err := s.build(); err != nil {
		return fmt.Errorf("starting a test server: %w", err)
	}
	if err := s.listen(); err != nil {
		s.releaseCache()
		return fmt.Errorf("starting a test server: %w", err)
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.sessions = map[*session]bool{}
	s.arm()
	s.running.Add(1)
	go s.accept() // ends with the listener
	return nil
}

// build readies a cluster of this package.
func (s *Server) build() error {
	own, ok := s.Cluster.(*Cluster)
	if !ok {
		return nil
	}
	if err := own.build(); err != nil || s.InMemory {
		return err
	}
	return own.cache.hold()
}

func (s *Server) listen() (err error) {
	if s.TLS {
		if s.certificate, err = newCertificate(); err != nil {
			return err
		}
	}
	if s.InMemory {
		s.listener = newMemListener()
		return nil
	}
	if s.Unix {
		return s.listenUnix()
	}
	s.listener, err = net.Listen("tcp", "127.0.0.1:0")
	return err
}

// listenUnix listens on a socket, whose path is short as it has to be.
func (s *Server) listenUnix() (err error) {
	if s.socketDir, err = os.MkdirTemp("", "s"); err != nil {
		return err
	}
	s.listener, err = net.Listen("unix", filepath.Join(s.socketDir, ".s.PGSQL."+unixPort))
	return err
}

// unixPort is the port that the name of a Unix socket has.
const unixPort = "5433"

// arm readies the faults, and puts those of the cluster around it.
func (s *Server) arm() {
	s.Config.Cluster = s.Cluster
	for _, f := range s.Faults {
		armed := &armedFault{Fault: f, record: &s.record}
		s.faults = append(s.faults, armed)
		if f.cluster != nil {
			s.Config.Cluster = f.cluster(layer{s.Config.Cluster}, armed)
		}
	}
}

// Close ends the server at once: every connection is closed, backups are aborted. It
// waits half a second for clients to close their ends too, and at most five seconds for
// the sessions to end. The error names those that hang then: which, doing what, since
// when. A second call returns the same.
func (s *Server) Close() error {
	s.closing.Do(func() { s.closeError = s.close() })
	return s.closeError
}

func (s *Server) close() error {
	if s.stop == nil {
		return nil // never started
	}
	s.stop()
	_ = s.listener.Close() // a listener on this machine
	if s.socketDir != "" {
		_ = os.RemoveAll(s.socketDir) // the directory of the system for such files
	}
	ended := make(chan struct{})
	go func() { // ends with the sessions: later than Close where one hangs
		defer close(ended)
		_ = s.Config.Close() // never fails
		s.running.Wait()
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
		s.releaseCache()
		return nil
	case <-timer.C:
		return errors.New(s.hanging())
	}
}

func (s *Server) releaseCache() {
	if own, ok := s.Cluster.(*Cluster); ok && !s.InMemory {
		own.cache.release()
	}
}

// hanging names the sessions that there are.
func (s *Server) hanging() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for sess := range s.sessions {
		names = append(names, sess.doing())
	}
	slices.Sort(names)
	return fmt.Sprintf("the test server hangs in Close: %s", cmp.Or(strings.Join(names, "; "), "a connection that never became a session"))
}

// Addr is the address to connect to.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Dial makes a connection, without a word on it.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	if m, ok := s.listener.(*memListener); ok {
		return m.dial(ctx)
	}
	var d net.Dialer
	return d.DialContext(ctx, s.Addr().Network(), s.Addr().String())
}

// ConnConfig is a configuration of pgconn that leads to the server, for the user
// backup, with TLS where the server has it. The parameter replication is left to the
// client.
func (s *Server) ConnConfig() (*pgconn.Config, error) {
	host, port := "127.0.0.1", "5432"
	switch a := s.Addr().(type) {
	case *net.TCPAddr:
		port = strconv.Itoa(a.Port)
	case *net.UnixAddr:
		host, port = s.socketDir, unixPort
	}
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%s user=backup sslmode=disable", host, port))
	if err != nil {
		return nil, fmt.Errorf("configuring a connection to the test server: %w", err)
	}
	config.TLSConfig = s.ClientTLS()
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Dial(ctx) }
	return config, nil
}

// ClientTLS is a configuration that trusts the server's certificate; nil without TLS.
func (s *Server) ClientTLS() *tls.Config {
	if s.certificate == nil {
		return nil
	}
	return s.certificate.client.Clone()
}

// RootPEM is the certificate to trust, for a client's sslrootcert; nil without TLS.
func (s *Server) RootPEM() []byte {
	if s.certificate == nil {
		return nil
	}
	return slices.Clone(s.certificate.pem)
}

// Transcript is what was said so far. After Close it is complete.
func (s *Server) Transcript() Transcript { return s.record.transcript() }

// Unused are the faults that did not happen so far. Where a server was started by
// [Server.StartTest] they fail the test in the end, unless AllowUnused is set.
func (s *Server) Unused() []Fault {
	var unused []Fault
	for _, f := range s.faults {
		if !f.happened() {
			unused = append(unused, f.Fault)
		}
	}
	return unused
}
