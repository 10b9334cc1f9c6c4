package walsender

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/internal/passthrough"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
)

// session is one connection after its startup. The goroutine of [Server.ServeConn]
// runs it and is the only one that writes to the peer.
type session struct {
	server   *Server
	stall    *peer.Conn // the raw connection
	conn     net.Conn   // it, or TLS over it
	out      *output
	in       *peer.Reader
	frames   *wire.FrameWriter // while a file is sent
	underWay filesUnderWay     // while one is sent, and from one to the next
	log      *zap.Logger
	start    time.Time
	slept    time.Duration // for the sake of a rate

	already     []byte            // read behind the startup packet
	asked       map[string]string // the parameters of the startup packet
	user        string
	application string
	grant       Grant    // what it may do
	startup     *startup // its place before it was admitted
	reserved    bool     // its place is one of the reserved ones (§1.8)
	key         cancelKey

	cluster Cluster // the server's, as the session has it (see reopen)
	release func()  // lets go of it; nil when there is nothing to let go of

	member   membership
	upstream *passthrough.Upstream   // where commands are passed through to, nil before the first
	end      context.CancelCauseFunc // ends the session; from any goroutine
	skipping bool                    // an extended-query message was refused: skip to Sync

	mu      sync.Mutex
	running context.CancelCauseFunc // cancels the command that runs, nil when none does
	silent  bool                    // the peer has closed its sending side
}

// run serves the session's messages until the peer says goodbye or the session is
// ended. ctx is the session's; cancel ends it.
func (s *session) run(ctx context.Context, cancel context.CancelCauseFunc) (err error) {
	s.log = s.log.With(zap.Uint32("session", s.key.processID), zap.String("user", s.user),
		zap.String("application_name", s.application))
	s.log.Debug("session started")
	s.member.log, s.member.ended = s.log, s.backupEnded
	s.end = cancel
	s.in = peer.NewReader(s.conn, s.stall.Conn, s.already, s.peerEnded)
	filled := make(chan struct{})
	go func() { // ends when the connection is closed below
		defer close(filled)
		s.in.Fill(ctx)
	}()
	// One by one, so that a panic of the Cluster in any of them skips none of the others.
	defer func() {
		s.server.dismiss(s) // who sees the end of the connection finds the place free
		s.stall.Hurry()     // for TLS, which says goodbye as well
		s.conn.Close()
		<-filled
	}()
	defer func() { cancel(err) }()
	defer s.closeUpstream()
	defer func() { s.sayGoodbye(err) }()
	defer s.dropSlots()
	defer func() { s.member.leave(err) }()
	for {
		kind, body, err := s.awaitMessage(ctx)
		if err != nil {
			return err
		}
		done, err := s.handle(ctx, kind, body)
		if done || err != nil {
			return err
		}
	}
}

// handle answers one message. It reports true at Terminate.
func (s *session) handle(ctx context.Context, kind byte, body []byte) (done bool, err error) {
	switch kind {
	case 'X': // Terminate
		return true, nil
	case 'S': // Sync
		s.skipping = false
		return false, s.ready()
	case 'P', 'B', 'D', 'E', 'C', 'H': // the extended query protocol
		return false, s.refuseExtended()
	case 'd', 'c', 'f': // what is left of a COPY that has failed
		return false, nil
	case 'F': // FunctionCall
		return false, s.answer(protocol.Errorf(protocol.CodeProtocolViolation,
			"fastpath function calls not supported in a replication connection"))
	case 'Q':
		if s.skipping {
			return false, nil
		}
		var query pgproto3.Query
		if err := query.Decode(body); err != nil {
			return false, protocol.Fatalf(protocol.CodeProtocolViolation, "invalid Query message")
		}
		return false, s.query(ctx, query.String)
	default:
		return false, protocol.Fatalf(protocol.CodeProtocolViolation, "invalid frontend message type %d", kind)
	}
}

// refuseExtended answers the first message of an extended query; what follows it
// is skipped until Sync (§1.6).
func (s *session) refuseExtended() error {
	if s.skipping {
		return nil
	}
	s.skipping = true
	err := s.out.send(wire.ErrorResponse(protocol.Errorf(protocol.CodeProtocolViolation,
		"extended query protocol not supported in a replication connection")))
	if err != nil {
		return err
	}
	return s.out.flush()
}

// query answers a Query message, ReadyForQuery included: with a refusal, with what the
// cluster's own walsender says, or with what the command gives here. Its error ends the
// session.
func (s *session) query(ctx context.Context, text string) error {
	if refused := s.authorize(ctx, text); refused != nil {
		return s.answer(answerable(ctx, refused))
	}
	command, invalid := grammar.Parse(text)
	if passed, ok := s.passedText(text, command, invalid); ok {
		if done, err := s.passThrough(ctx, passed); done || err != nil {
			return err
		}
	}
	if invalid != nil && passthrough.IsLogical(text) {
		invalid = passthrough.RefuseLogical("logical replication is not served")
	}
	return s.answerHere(ctx, command, invalid)
}

// answerHere runs a command, unless invalid says that it is none, and ends its answer.
func (s *session) answerHere(ctx context.Context, command grammar.Command, invalid error) error {
	began, sent := time.Now(), s.out.bytesSaid()
	failed := invalid
	if failed == nil {
		failed = s.server.checkServed(command)
	}
	if failed == nil {
		failed = s.execute(ctx, command)
	}
	s.logCommand(command, began, s.out.bytesSaid()-sent, failed)
	if failed != nil {
		s.dropSlots()
	}
	return s.answer(failed)
}

// execute runs a command by its kind: each has a method, in a file of its own. The error
// is the answer.
func (s *session) execute(ctx context.Context, command grammar.Command) (err error) {
	if err := s.flushBefore(command); err != nil {
		return err
	}
	ctx, end := s.interruptible(ctx, command)
	defer end()
	defer func() { err = answerable(ctx, err) }()
	if err := s.refresh(ctx); err != nil {
		return err
	}
	switch c := command.(type) {
	case nil:
		return s.out.send(&pgproto3.EmptyQueryResponse{})
	case grammar.StartBackup:
		return s.startBackup(ctx, c)
	case grammar.JoinBackup:
		return s.joinBackup(ctx, c)
	case grammar.StopBackup:
		return s.stopBackup(ctx, c)
	case grammar.ListTablespaces:
		return s.listTablespaces(ctx, c)
	case grammar.ListFiles:
		return s.listFiles(ctx, c)
	case grammar.ListWALFiles:
		return s.listWALFiles(ctx, c)
	case grammar.SendFile:
		return s.sendFile(ctx, c)
	case grammar.FileDigests:
		return s.fileDigests(ctx, c)
	case grammar.BaseBackup:
		return s.baseBackup(ctx, c)
	case grammar.ListBackups:
		return s.listBackups()
	case grammar.AlterBackup:
		return s.alterBackup(c)
	case grammar.IdentifySystem:
		return s.identifySystem(ctx)
	case grammar.Show:
		return s.show(ctx, c)
	case grammar.TimelineHistory:
		return s.timelineHistory(ctx, c)
	case grammar.StartReplication:
		return s.startReplication(ctx, c)
	case grammar.CreateReplicationSlot:
		return s.createReplicationSlot(ctx, c)
	case grammar.DropReplicationSlot:
		return s.dropReplicationSlot(ctx, c)
	case grammar.ReadReplicationSlot:
		return s.readReplicationSlot(ctx, c)
	default:
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "command is not supported by this server")
	}
}

// flushBefore sends the answers that are due, unless the command is one whose answer is
// gathered with those behind it. Any other may take long, START_BACKUP the minutes of a
// checkpoint.
func (s *session) flushBefore(command grammar.Command) error {
	if isOneOfMany(command) {
		return nil
	}
	return s.out.flush()
}

// peerEnded hears from the reading goroutine, more than once perhaps, that the peer
// sends nothing more (io.EOF), or is gone altogether. A backup ends with its leader
// at once (§3.5); any other session answers what was sent before (§1.7).
func (s *session) peerEnded(err error) {
	s.mu.Lock()
	s.silent = true
	s.mu.Unlock()
	// After that: a session that is about to lead looks the other way round.
	if s.member.leads() || !errors.Is(err, io.EOF) {
		s.end(peer.ErrGone)
	}
}

// awaitReader gives the peer the time that the reader of a file has. The function
// returned takes it back.
func (s *session) awaitReader() (restore func()) {
	s.stall.Wait(cmp.Or(s.server.SenderTimeout, DefaultFileTimeout))
	return func() { s.stall.Wait(cmp.Or(s.server.SenderTimeout, DefaultSenderTimeout)) }
}

// sayGoodbye ends the session in the log and, where there is something to say and
// a frame boundary to say it at, on the wire.
func (s *session) sayGoodbye(err error) {
	s.sessionEnded(err)
	if s.sayFatal(err) {
		peer.Drain(s.conn)
	}
}

// sayFatal says the error as FATAL, and reports whether there was something to say.
func (s *session) sayFatal(err error) bool {
	told := wireError(err)
	if told == nil || s.out == nil {
		return false
	}
	fatal := *told
	fatal.Severity = protocol.SeverityFatal
	s.stall.Hurry()
	if s.out.send(wire.ErrorResponse(&fatal)) == nil {
		_ = s.out.flush() // the peer may be gone: nobody is left to tell
	}
	return true
}
