package walsender

import (
	"bufio"
	"net"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/walsender/internal/peer"
)

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
	sess.out = nil // nothing can be said before the handshake is done
	secured := peer.Secure(conn, s.TLSConfig)
	if err := secured.Handshake(); err != nil {
		if sess.startup.ctx.Err() == nil { // of those that were pushed out the log tells together
			sess.log.Info("could not accept TLS connection", zap.Error(err))
		}
		return nil, errNotSession
	}
	if direct && secured.ConnectionState().NegotiatedProtocol != peer.ALPN {
		sess.log.Info("direct TLS connection without ALPN protocol negotiation")
		return nil, errNotSession
	}
	if _, err := secured.Certificate(); err != nil {
		sess.log.Error("could not read the server's own certificate", zap.Error(err))
		return nil, errNotSession
	}
	sess.conn = secured
	sess.out = newOutput(sess.conn)
	return bufio.NewReaderSize(sess.conn, startupBuffer), nil
}

// replayConn is a connection whose first bytes have been read into a buffer.
type replayConn struct {
	net.Conn
	in *bufio.Reader
}

func replay(conn net.Conn, in *bufio.Reader) net.Conn { return replayConn{conn, in} }

// Read reads what is in the buffer first.
func (c replayConn) Read(p []byte) (int, error) { return c.in.Read(p) }
