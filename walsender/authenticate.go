package walsender

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/internal/guesses"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
)

// authenticate finds out what the session may do, or returns the FATAL that refuses it
// (§1.10).
func (s *Server) authenticate(ctx context.Context, sess *session, m wire.StartupMessage, in *bufio.Reader) error {
	if s.Authenticator == nil {
		if !isLocal(sess.stall.RemoteAddr()) {
			return protocol.Fatalf(protocol.CodeInvalidAuthorization,
				"no authentication is configured: connections are taken from the server's own machine only")
		}
		sess.grant = Everything()
		return nil
	}
	ctx, release := context.WithTimeoutCause(ctx, s.authTimeout(), protocol.Fatalf(protocol.CodeQueryCanceled,
		"canceling authentication due to timeout"))
	defer release()
	grant, err := s.Authenticator.Authenticate(ctx, newHandshake(sess, m, in))
	if err != nil {
		return s.refuseLate(ctx, sess, interrupted(ctx, err))
	}
	sess.grant = grant
	if grant.Identity != "" {
		sess.log.Info("connection authenticated", zap.String("user", sess.user),
			zap.String("identity", grant.Identity), zap.String("method", grant.Method))
	}
	return nil
}

// interrupted is the error of an Authenticator, with the reason for the peer where it has
// none of its own and ctx has ended: by AuthTimeout, or with the server.
func interrupted(ctx context.Context, err error) error {
	if _, told := errors.AsType[*protocol.Error](err); told || ctx.Err() == nil || errors.Is(err, errNotSession) {
		return err
	}
	return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
}

func newHandshake(sess *session, m wire.StartupMessage, in *bufio.Reader) *Handshake {
	h := &Handshake{
		User: m.Parameters["user"], Database: m.Parameters["database"], ApplicationName: m.Parameters["application_name"],
		Local: sess.stall.LocalAddr(), Remote: sess.stall.RemoteAddr(),
		raw: sess.stall.Conn, in: in, out: sess.out,
	}
	if secured, ok := sess.conn.(*peer.Secured); ok {
		state := secured.ConnectionState()
		h.TLS = &state
		h.ServerCertificate, _ = secured.Certificate() // startTLS has seen it
	}
	return h
}

// refuseLate holds a refusal back, so that passwords cannot be tried fast, and logs all
// of it. A peer that went away by itself is not worth a line: so do clients without a
// password, to ask for one.
func (s *Server) refuseLate(ctx context.Context, sess *session, err error) error {
	if errors.Is(err, errNotSession) {
		return err
	}
	s.mu.Lock()
	sess.startup.refused = true
	s.mu.Unlock()
	sess.log.Warn("authentication failed", zap.String("user", protocol.Shorten(sess.user, 64)), zap.Error(err))
	if told, ok := errors.AsType[*protocol.Error](err); ok && strings.HasPrefix(told.Code, "28") {
		wrong := 1
		if told.Code == protocol.CodeInvalidPassword {
			wrong = s.guesses.Count("password", sess.startup.address, sess.user)
		}
		s.holdBack(ctx, wrong)
	}
	return err
}

// holdBack waits as long as the answer to the n-th wrong guess is held back, or until ctx
// ends.
func (s *Server) holdBack(ctx context.Context, n int) {
	wait := guesses.Delay(cmp.Or(s.AuthFailureDelay, DefaultAuthFailureDelay), n)
	if wait == 0 {
		return
	}
	delay := time.NewTimer(wait)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-ctx.Done():
	}
}

func (s *Server) authTimeout() time.Duration {
	return cmp.Or(max(0, s.AuthTimeout), DefaultAuthTimeout)
}

// isLocal reports whether nobody but the users of this machine can be at the address.
func isLocal(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// checkListener refuses to listen to the world without authentication.
func (s *Server) checkListener(l net.Listener) error {
	if s.Authenticator == nil && !isLocal(l.Addr()) {
		return fmt.Errorf("walsender: a Server without an Authenticator must not listen on %s: it is not a loopback address", l.Addr())
	}
	return nil
}
