package walsender

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender/internal/guesses"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
	"github.com/pgparallel/pgparallel/walsender/internal/slots"
)

// ErrServerClosed is returned by [Server.Serve] and [Server.ServeConn] after
// [Server.Shutdown] or [Server.Close] has been called.
var ErrServerClosed = errors.New("walsender: server closed")

// The defaults of a [Server]'s fields.
const (
	DefaultMaxWALSenders = 10
	DefaultSenderTimeout = 60 * time.Second
	DefaultFileTimeout   = time.Hour
	DefaultAuthTimeout   = 60 * time.Second

	DefaultAuthFailureDelay = 500 * time.Millisecond

	DefaultReservedConnections = 3 // PostgreSQL's superuser_reserved_connections
)

// minReplicationSlots is how many temporary replication slots there may be at least (§9.2):
// PostgreSQL's max_replication_slots. There may be as many as sessions.
const minReplicationSlots = 10

// Server serves a [Cluster] to any number of listeners. Only Cluster is required.
// The fields must not be changed once it serves.
type Server struct {
	// Cluster is where the bytes come from.
	Cluster Cluster

	// Backups is the table of running backups. Servers that share it let their
	// sessions join each other's backups. Nil: a table of its own, for 10.
	Backups *sharedstate.Table

	// TLSConfig allows TLS, by SSLRequest and directly (§1.2). Nil: none. Each
	// connection has a copy, to which the protocol "postgresql" is added for the
	// direct kind, and which resumes no earlier session.
	TLSConfig *tls.Config

	// Authenticator decides who is let in, and to what (§1.10). Nil lets everybody
	// in who connects from this machine, as whom they like, to everything; Serve
	// then refuses a listener whose TCP address is not a loopback one, and a
	// session is refused whose peer has another.
	Authenticator Authenticator

	// MaxWALSenders is how many sessions there may be at once (§1.8); 0 and less
	// mean DefaultMaxWALSenders.
	MaxWALSenders int

	// ReservedConnections is how many sessions there may be besides, once MaxWALSenders
	// are taken, of those to whom an Authenticator has granted Monitor: to look after
	// the server, not to take part in backups (§1.8). 0 means
	// DefaultReservedConnections, less than 0 none.
	ReservedConnections int

	// SenderTimeout closes a session whose peer reads nothing for that long
	// (wal_sender_timeout, §7.1). 0 means DefaultSenderTimeout, and
	// DefaultFileTimeout while a file or a BASE_BACKUP is sent: its reader may
	// wait for a disk. Less than 0 means none.
	SenderTimeout time.Duration

	// AuthTimeout bounds the time from the connection to the end of the startup
	// (authentication_timeout, §7.1); 0 and less mean DefaultAuthTimeout.
	AuthTimeout time.Duration

	// AuthFailureDelay is how long the refusal of an [Authenticator] is held back, so
	// that passwords cannot be tried fast; 0 means DefaultAuthFailureDelay, less
	// than 0 none. It doubles, up to 16 times as long, with each further wrong password
	// (28P01) of the address or the role of late, of which one is forgotten every 10
	// seconds. Wrong ids of backups beyond the fifth are held back, too, up to 4 times
	// as long (§4.2).
	AuthFailureDelay time.Duration

	// Digests keeps the digests of files, so that LIST_FILES CHECKSUM and FILE_DIGESTS
	// read no file twice that nobody has written to (§8.3). Servers may share it. Nil:
	// each digest is computed when it is asked for.
	Digests *DigestCache

	// Commands are the families of commands that the server answers by itself, as
	// ParallelBackup | BaseBackup; 0 means all of them. A command of another family is
	// 0A000, as one is that no server knows. Without ParallelBackup the server does not
	// announce itself as one of this protocol (§1.5). What a [PassThrough] cluster is
	// handed is its own matter.
	Commands CommandFamilies

	// Authorize is asked before each command, with its text as it was sent, which
	// is of any kind (package grammar reads those of this protocol) and may hold a
	// backup's id, a secret. If it returns nil the command goes ahead; a
	// *[protocol.Error] is the answer to it, so that a program can allow, deny or
	// merely watch. It is called on the session's goroutine, for many sessions at
	// once, and ends soon after ctx. Without it everything is allowed.
	Authorize func(ctx context.Context, c Caller, command string) error

	// BackupEnded is told of each backup at its end, and SessionEnded of each session
	// that was admitted. They are called on the session's goroutine, many at once, and
	// must return quickly. Nil: nobody is told.
	BackupEnded  func(BackupEnd)
	SessionEnded func(SessionEnd)

	// Logger gets a line at Info at the end of each backup, with bytes, seconds, rate and
	// the time slept for a rate; at Warn where it failed or has damaged pages. A session's
	// beginning and end, and each command that succeeds, are at Debug; a command that is
	// refused at Info; a session that is refused (no place left, the cluster is down, a wrong
	// password) in one line at Warn; errors that are the server's own at Error. Ids of
	// backups are cut. Nil: zap's production logger, to standard error, of Warn and
	// above; [zap.NewNop] for no log. The example of a Server's Logger shows how a log/slog.Handler
	// gets the lines.
	Logger *zap.Logger

	once     sync.Once
	ctx      context.Context // ends, with the reason as its cause, when the server does
	stop     context.CancelCauseFunc
	sessions sync.WaitGroup
	frames   sync.Pool     // of *wire.FrameWriter
	digest   chan struct{} // has a place for each digest that may be computed at once
	guesses  guesses.Counter
	slots    *slots.Table

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]struct{}
	left      *sync.Cond          // a connection has gone, or the server is closed
	keys      map[uint32]*session // the admitted sessions by process id
	reserved  int                 // how many of them have a reserved place
	startups  []*startup          // the connections that were not let in yet, the oldest first

	refused       int // connections without a place that the log has not told of
	refusedLogged time.Time
}

func (s *Server) init() {
	s.once.Do(func() {
		s.ctx, s.stop = context.WithCancelCause(context.Background())
		s.listeners = map[net.Listener]struct{}{}
		s.conns = map[net.Conn]struct{}{}
		s.digest = make(chan struct{}, runtime.GOMAXPROCS(0))
		s.left = sync.NewCond(&s.mu)
		s.keys = map[uint32]*session{}
		s.slots = slots.NewTable(max(minReplicationSlots, s.maxWALSenders()))
		if s.Backups == nil {
			s.Backups = sharedstate.NewTable(0)
		}
		if s.Logger == nil {
			s.Logger = defaultLogger()
		}
	})
}

// Serve accepts connections on the listener and runs each in goroutines of its
// own, until the listener fails or the server is shut down; then it closes the
// listener. Its error is never nil: [ErrServerClosed] after Shutdown or Close. It returns as
// soon as the listener is closed, which may be before Shutdown has ended the sessions: wait
// for Shutdown to return before you close the Cluster or leave main.
func (s *Server) Serve(l net.Listener) error {
	s.init()
	if !s.trackListener(l) {
		l.Close()
		return ErrServerClosed
	}
	defer s.untrackListener(l)
	if err := s.checkListener(l); err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			if s.isClosed() {
				return ErrServerClosed
			}
			if pause(s.ctx, err) {
				s.Logger.Error("could not accept a connection, trying again", zap.Error(err))
				continue
			}
			return err
		}
		// Before a goroutine is there for it, which may not come to run before the next
		// connections have.
		if st, err := s.trackConn(conn); err == nil {
			go s.serveTracked(s.ctx, conn, st) // the session logs how it ended
		} else {
			refuse(conn, err)
		}
	}
}

// pause waits a little after an accept that failed for a while only, as for want
// of file descriptors, and reports whether to try again.
func pause(ctx context.Context, err error) bool {
	temporary, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	if !ok || !temporary.Temporary() {
		return false
	}
	select {
	case <-time.After(100 * time.Millisecond):
		return true
	case <-ctx.Done():
		return false
	}
}

// ServeConn runs one session, from its startup packet on, and returns when it has
// ended and conn is closed; ctx ends it early. The error says why it ended, nil
// that the client said goodbye. A panic of the Cluster ends the session, not the
// process: it is logged, and the session's backup is aborted.
//
// A program that reads the startup packet itself ([wire.ReadStartupPacket]), to
// decide who is to serve the connection, hands over one whose Read begins with that
// packet again. Several goroutines may read from it at once, as from any net.Conn.
// Where it has methods SyscallConn and CloseWrite, as those of package net have, they
// are used: keep them.
func (s *Server) ServeConn(ctx context.Context, conn net.Conn) (err error) {
	s.init()
	st, err := s.trackConn(conn)
	if err != nil {
		refuse(conn, err)
		return err
	}
	return s.serveTracked(ctx, conn, st)
}

func (s *Server) serveTracked(ctx context.Context, conn net.Conn, st *startup) (err error) {
	defer s.untrackConn(conn, st)
	defer func() {
		if p := recover(); p != nil {
			s.Logger.Error("a session panicked", zap.Any("panic", p), zap.Stack("stack"))
			err = fmt.Errorf("walsender: session panicked: %v", p)
		}
	}()
	peer.TuneSocket(conn)
	// Whatever ends the session's context gives the peer a reason.
	sess, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	for _, around := range []context.Context{ctx, st.ctx} {
		defer context.AfterFunc(around, func() { cancel(endedBy(context.Cause(around))) })()
	}
	return s.serve(sess, cancel, conn, st)
}

// Sessions is how many sessions there are now that were let in.
func (s *Server) Sessions() int {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keys)
}

// Ready returns the error that START_BACKUP would be answered with now, as far as the
// cluster can tell without a checkpoint ([BackupChecker]); 57P03 where the server is shut
// down. A table that is full is no such error: the place of a backup becomes free again.
func (s *Server) Ready(ctx context.Context) error {
	s.init()
	if s.ctx.Err() != nil || s.isClosed() {
		return protocol.Errorf(protocol.CodeCannotConnectNow, "the server is shutting down")
	}
	cluster, release, err := s.openCluster(ctx)
	if err != nil {
		return err
	}
	if release != nil {
		defer release()
	}
	if checker, ok := cluster.(BackupChecker); ok {
		return checker.CheckBackup(ctx)
	}
	_, err = cluster.Settings(ctx)
	return err
}

// Shutdown ends the server as PostgreSQL's fast shutdown does: it closes the
// listeners, aborts the backups, sends every session FATAL 57P01 and returns when
// all have ended. A peer that does not read is closed within a second. If ctx ends
// first, Shutdown closes the connections that are left and returns ctx's error at
// once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closeListeners()
	s.stop(errShutdown())
	done := make(chan struct{})
	go func() {
		s.sessions.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.closeConns()
		return context.Cause(ctx)
	}
}

// Close ends the server as PostgreSQL's immediate shutdown does: it closes the
// listeners and every connection without a word, and returns when all sessions
// have ended, as soon as their calls of the [Cluster] return. Backups are aborted.
func (s *Server) Close() error {
	s.closeListeners()
	s.closeConns() // before the sessions end, which would tell their clients
	s.stop(errShutdown())
	s.sessions.Wait()
	return nil
}

// closeListeners lets no connection in any more.
func (s *Server) closeListeners() {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.left.Broadcast()
	for l := range s.listeners {
		l.Close()
	}
}

func (s *Server) closeConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.Close()
	}
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *Server) trackListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) untrackListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	l.Close()
}
