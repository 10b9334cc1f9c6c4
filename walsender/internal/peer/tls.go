package peer

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
)

// ALPN is the protocol name that direct TLS must agree on (§1.2).
const ALPN = "postgresql"

// Secured is a connection under TLS that knows which certificate it showed: the peer may bind
// its password to it (§1.10).
type Secured struct {
	*tls.Conn
	records *recordConn      // below
	shown   *tls.Certificate // nil before the handshake
}

// Secure makes the server's side of TLS over conn. The caller calls Handshake. The
// configuration is copied: ALPN is added to it, and no earlier session is taken up.
func Secure(conn net.Conn, config *tls.Config) *Secured {
	c := &Secured{records: &recordConn{Conn: conn}}
	c.Conn = tls.Server(c.records, sessionTLS(config, &c.shown))
	return c
}

// Certificate is the certificate that the handshake has shown to the peer.
func (c *Secured) Certificate() (*x509.Certificate, error) {
	return x509.ParseCertificate(c.shown.Certificate[0])
}

// Write writes p in as few pieces as it can.
func (c *Secured) Write(p []byte) (int, error) {
	c.records.gather()
	n, err := c.Conn.Write(p)
	if sendErr := c.records.send(); err == nil {
		err = sendErr
	}
	return n, err
}

// sessionTLS is the configuration for one connection: it tells which certificate is
// presented, agrees on PostgreSQL's protocol, and takes up no earlier session, which
// would present none (PostgreSQL allows none either).
func sessionTLS(config *tls.Config, presented **tls.Certificate) *tls.Config {
	config = config.Clone()
	config.SessionTicketsDisabled = true
	if !slices.Contains(config.NextProtos, ALPN) {
		config.NextProtos = append(slices.Clone(config.NextProtos), ALPN)
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
