package walsender

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// alpn is the protocol name that direct TLS must agree on (§1.2).
const alpn = "postgresql"

// startupBuffer holds any startup packet that is read (§7.1) and then some, so
// that what was sent behind one shows.
const startupBuffer = 16 << 10

// errNotSession ends a connection that was never to become a session: a
// CancelRequest, or a peer that went away before it said anything.
var errNotSession = errors.New("no session")

// serve runs a connection to its end: startup, admission, session.
func (s *Server) serve(ctx context.Context, cancel context.CancelCauseFunc, raw net.Conn) error {
	log := s.Logger.With(zap.String("remote", remoteName(raw.RemoteAddr())))
	stall := &stallConn{Conn: raw, timeout: cmp.Or(s.SenderTimeout, DefaultSenderTimeout)}
	sess := &session{server: s, stall: stall, log: log, start: time.Now()}
	// A panic of the Cluster must keep neither the place nor the directory.
	defer sess.closeCluster()
	defer s.dismiss(sess)
	err := s.startup(ctx, sess)
	if err == nil {
		err = sess.run(ctx, cancel)
	} else if !errors.Is(err, errNotSession) {
		sess.sayGoodbye(err)
	}
	if errors.Is(err, errNotSession) {
		return nil
	}
	return err
}

// startup brings a connection to the point where it is an admitted session with
// its greeting on the way, all within AuthTimeout.
func (s *Server) startup(ctx context.Context, sess *session) error {
	timeout := cmp.Or(max(0, s.AuthTimeout), DefaultAuthTimeout)
	if err := sess.stall.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return errNotSession
	}
	// The server's end closes a startup at once: there is nothing to say yet.
	defer context.AfterFunc(ctx, func() { sess.stall.SetReadDeadline(time.Unix(1, 0)) })() //nolint:errcheck // as above
	sess.conn = sess.stall
	sess.out = newOutput(sess.stall)

	message, already, err := s.negotiate(sess)
	if err != nil {
		return err
	}
	sess.already = already
	if negotiation := message.Negotiate(); negotiation != nil {
		if err := sess.out.send(negotiation); err != nil {
			return err
		}
	}
	if _, err := message.Replication(); err != nil {
		return err
	}
	sess.asked = message.Parameters
	sess.user = message.Parameters["user"]
	sess.application = message.Parameters["application_name"]
	if err := s.admit(sess); err != nil {
		return err
	}
	if err := sess.greet(ctx, message); err != nil {
		return err
	}
	return sess.stall.SetReadDeadline(time.Time{})
}

// negotiate reads packets up to the StartupMessage, and goes over to TLS where
// that is asked for and configured. already is what was read behind it.
func (s *Server) negotiate(sess *session) (m wire.StartupMessage, already []byte, err error) {
	in := bufio.NewReaderSize(sess.conn, startupBuffer)
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
			already, _ := in.Peek(in.Buffered())
			return p, slices.Clone(already), nil
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

// answerSSLRequest says S and goes over to TLS, or says N.
func (s *Server) answerSSLRequest(sess *session, in *bufio.Reader) (*bufio.Reader, error) {
	if s.TLSConfig == nil || sess.conn != net.Conn(sess.stall) {
		_, err := sess.conn.Write([]byte("N"))
		if err != nil {
			return nil, errNotSession
		}
		return in, nil
	}
	if _, err := sess.conn.Write([]byte("S")); err != nil {
		return nil, errNotSession
	}
	return s.startTLS(sess, sess.conn, false)
}

// startTLS makes the handshake over conn; a direct one must have agreed on the
// protocol's name.
func (s *Server) startTLS(sess *session, conn net.Conn, direct bool) (*bufio.Reader, error) {
	config := s.TLSConfig.Clone()
	if !slices.Contains(config.NextProtos, alpn) {
		config.NextProtos = append(slices.Clone(config.NextProtos), alpn)
	}
	secured := tls.Server(conn, config)
	if err := secured.Handshake(); err != nil {
		sess.log.Info("could not accept TLS connection", zap.Error(err))
		return nil, errNotSession
	}
	if direct && secured.ConnectionState().NegotiatedProtocol != alpn {
		sess.log.Info("direct TLS connection without ALPN protocol negotiation")
		return nil, errNotSession
	}
	sess.conn = secured
	sess.out = newOutput(secured)
	return bufio.NewReaderSize(secured, startupBuffer), nil
}

// startupError tells a broken packet, which gets an answer, from a peer that went
// away or was too slow, which gets none.
func startupError(err error) error {
	var wire *protocol.Error
	if errors.As(err, &wire) {
		return wire
	}
	return fmt.Errorf("reading the startup packet: %w: %w", errNotSession, err)
}

// replayConn is a connection whose first bytes have been read into a buffer.
type replayConn struct {
	net.Conn
	in *bufio.Reader
}

func replay(conn net.Conn, in *bufio.Reader) net.Conn { return replayConn{conn, in} }

// Read implements io.Reader.
func (c replayConn) Read(p []byte) (int, error) { return c.in.Read(p) }
