package walsender

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
	"github.com/pgparallel/pgparallel/walsender/internal/startupoptions"
)

// startupBuffer is enough for the startup packets of clients, and what is sent behind one
// shows in it. It is small: nobody has been let in yet.
const startupBuffer = 2 << 10

// errNotSession ends a connection that was never to become a session: a
// CancelRequest, or a peer that went away before it said anything.
var errNotSession = errors.New("no session")

// serve runs a connection to its end: startup, admission, session.
func (s *Server) serve(ctx context.Context, cancel context.CancelCauseFunc, raw net.Conn, st *startup) error {
	log := s.Logger.With(zap.String("remote", remoteName(raw.RemoteAddr())))
	stall := peer.NewConn(raw, cmp.Or(s.SenderTimeout, DefaultSenderTimeout))
	sess := &session{server: s, stall: stall, log: log, start: time.Now(), startup: st}
	// A panic of the Cluster must keep neither the place nor the directory.
	defer sess.closeCluster()
	defer s.dismiss(sess)
	err := s.startup(ctx, sess)
	if err == nil {
		return sess.run(ctx, cancel)
	}
	if pushedOut := context.Cause(ctx); protocol.HasCode(pushedOut, protocol.CodeTooManyConnections) {
		sess.sayFatal(pushedOut) // and no more: its descriptor is wanted
		return pushedOut
	}
	if errors.Is(err, errNotSession) {
		return nil
	}
	s.leave(st)
	sess.sayGoodbye(err)
	return err
}

// startup brings a connection to the point where it is an admitted session with
// its greeting on the way, all within AuthTimeout.
func (s *Server) startup(ctx context.Context, sess *session) error {
	if err := sess.stall.SetReadDeadline(time.Now().Add(s.authTimeout())); err != nil {
		return errNotSession
	}
	// The server's end closes a startup at once: there is nothing to say yet.
	defer context.AfterFunc(ctx, func() { _ = sess.stall.SetReadDeadline(time.Unix(1, 0)) })() // as above
	sess.conn = sess.stall
	sess.out = newOutput(sess.stall)

	message, in, err := s.negotiate(sess)
	if err != nil {
		return err
	}
	if negotiation := message.Negotiate(); negotiation != nil {
		if err := sess.out.send(negotiation); err != nil {
			return err
		}
	}
	if _, err := message.Replication(); err != nil {
		return sess.unavailableOr(ctx, err)
	}
	sess.asked = message.Parameters
	ignored := startupoptions.Take(sess.asked)
	sess.user = message.Parameters["user"]
	sess.application = message.Parameters["application_name"]
	if err := s.authenticate(ctx, sess, message, in); err != nil {
		return err
	}
	already, _ := in.Peek(in.Buffered())
	sess.already = slices.Clone(already)
	if err := s.admit(sess); err != nil {
		return err
	}
	if err := sess.greet(ctx, message, startupoptions.Warning(ignored)); err != nil {
		return err
	}
	return sess.stall.SetReadDeadline(time.Time{})
}

// negotiate reads packets up to the StartupMessage, and goes over to TLS where
// that is asked for and configured. What was read behind it is in the reader.
func (s *Server) negotiate(sess *session) (m wire.StartupMessage, in *bufio.Reader, err error) {
	in = bufio.NewReaderSize(sess.conn, startupBuffer)
	first, err := in.Peek(1)
	if err != nil {
		return m, nil, errNotSession
	}
	direct := first[0] == 0x16 && s.TLSConfig != nil
	if direct {
		if in, err = s.startTLS(sess, replay(sess.conn, in), true); err != nil {
			return m, nil, err
		}
	}
	for askedTLS, askedGSS := direct, false; ; {
		packet, err := wire.ReadStartupPacket(in)
		if err != nil {
			return m, nil, startupError(err)
		}
		switch p := packet.(type) {
		case wire.StartupMessage:
			return p, in, nil
		case wire.CancelRequest:
			s.cancelCommand(p)
			return m, nil, errNotSession
		// Bytes behind an encryption request, or a second one, are an attempt to
		// slip plain bytes into what will be taken for encrypted (§1.2).
		case wire.SSLRequest:
			if askedTLS || in.Buffered() > 0 {
				sess.log.Warn("received unencrypted data after an encryption request")
				return m, nil, errNotSession
			}
			askedTLS = true
			if in, err = s.answerSSLRequest(sess, in); err != nil {
				return m, nil, err
			}
		case wire.GSSENCRequest:
			if askedGSS || in.Buffered() > 0 {
				sess.log.Warn("received unencrypted data after an encryption request")
				return m, nil, errNotSession
			}
			askedGSS = true
			if _, err := sess.conn.Write([]byte("N")); err != nil {
				return m, nil, errNotSession
			}
		}
	}
}

// startupError tells a broken packet, which gets an answer, from a peer that went
// away or was too slow, which gets none.
func startupError(err error) error {
	if told, ok := errors.AsType[*protocol.Error](err); ok {
		return told
	}
	return fmt.Errorf("reading the startup packet: %w: %w", errNotSession, err)
}
