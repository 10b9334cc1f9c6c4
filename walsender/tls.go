package walsender

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"

	"go.uber.org/zap"
)

// alpn is the protocol name that direct TLS must agree on (§1.2).
const alpn = "postgresql"

// securedConn is a connection under TLS, which knows the certificate that it showed:
// the peer may bind its password to it (§1.10).
type securedConn struct {
	*tls.Conn
	records   *recordConn // below
	presented *x509.Certificate
}

// Write writes p in as few pieces as it can.
func (c *securedConn) Write(p []byte) (int, error) {
	c.records.gather()
	n, err := c.Conn.Write(p)
	if sendErr := c.records.send(); err == nil {
		err = sendErr
	}
	return n, err
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
	var presented *tls.Certificate
	sess.out = nil // nothing can be said before the handshake is done
	records := &recordConn{Conn: conn}
	secured := tls.Server(records, sessionTLS(s.TLSConfig, &presented))
	if err := secured.Handshake(); err != nil {
		if sess.startup.ctx.Err() == nil { // of those that were pushed out the log tells together
			sess.log.Info("could not accept TLS connection", zap.Error(err))
		}
		return nil, errNotSession
	}
	if direct && secured.ConnectionState().NegotiatedProtocol != alpn {
		sess.log.Info("direct TLS connection without ALPN protocol negotiation")
		return nil, errNotSession
	}
	leaf, err := x509.ParseCertificate(presented.Certificate[0])
	if err != nil {
		sess.log.Error("could not read the server's own certificate", zap.Error(err))
		return nil, errNotSession
	}
	sess.conn = &securedConn{Conn: secured, records: records, presented: leaf}
	sess.out = newOutput(sess.conn)
	return bufio.NewReaderSize(sess.conn, startupBuffer), nil
}

// sessionTLS is the configuration for one connection: it tells which certificate is
// presented, agrees on PostgreSQL's protocol, and takes up no earlier session, which
// would present none (PostgreSQL allows none either).
func sessionTLS(config *tls.Config, presented **tls.Certificate) *tls.Config {
	config = config.Clone()
	config.SessionTicketsDisabled = true
	if !slices.Contains(config.NextProtos, alpn) {
		config.NextProtos = append(slices.Clone(config.NextProtos), alpn)
	}
	certificates, get := config.Certificates, config.GetCertificate
	config.Certificates = nil
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, err := chooseCertificate(hello, certificates, get)
		*presented = c
		return c, err
	}
	if next := config.GetConfigForClient; next != nil {
		config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			other, err := next(hello)
			if other == nil || err != nil {
				return nil, err
			}
			return sessionTLS(other, presented), nil
		}
	}
	return config
}

// chooseCertificate chooses as crypto/tls does by itself.
func chooseCertificate(hello *tls.ClientHelloInfo, certificates []tls.Certificate,
	get func(*tls.ClientHelloInfo) (*tls.Certificate, error),
) (*tls.Certificate, error) {
	if get != nil && (len(certificates) == 0 || hello.ServerName != "") {
		if c, err := get(hello); c != nil || err != nil {
			return c, err
		}
	}
	for i := range certificates {
		if hello.SupportsCertificate(&certificates[i]) == nil {
			return &certificates[i], nil
		}
	}
	if len(certificates) == 0 {
		return nil, nil // crypto/tls has the words for it
	}
	return &certificates[0], nil
}

// replayConn is a connection whose first bytes have been read into a buffer.
type replayConn struct {
	net.Conn
	in *bufio.Reader
}

func replay(conn net.Conn, in *bufio.Reader) net.Conn { return replayConn{conn, in} }

// Read reads what is in the buffer first.
func (c replayConn) Read(p []byte) (int, error) { return c.in.Read(p) }
