package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// Files are the names of files, all in PEM format.
type Files struct {
	Certificate string // the server's, and the intermediate ones that lead to it; required
	Key         string // the private key, without a passphrase; required
	// CA are the authorities that clients' certificates are checked with. A client need
	// not have one; one that is not right ends the handshake. Empty: none is asked for.
	CA string
	// CRL are lists of certificates that are not valid any more, of every authority in
	// a chain but the root's own. It needs CA. Empty: none.
	CRL string
}

// TLS is the configuration that the files had when they were read last. Its methods
// may be called by many goroutines at once.
type TLS struct {
	files   Files
	current atomic.Pointer[tls.Config]
}

// Open reads the files. The error joins all that is wrong with any of them. The key must
// not be readable to others than its owner, who is this process's user or root; root's
// key may be to a group.
func Open(f Files) (*TLS, error) {
	t := &TLS{files: f}
	return t, t.Reload()
}

// Reload reads the files again. After an error everything stays as it was.
func (t *TLS) Reload() error {
	config, err := t.files.read()
	if err == nil {
		t.current.Store(config)
	}
	return err
}

// Config is a configuration whose handshakes go by the files as they were read last:
// TLS 1.2 and 1.3.
func (t *TLS) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.current.Load(), nil },
	}
}

func (f Files) read() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	certificate, err := f.pair()
	config.Certificates = []tls.Certificate{certificate}
	if f.CA == "" {
		if f.CRL != "" {
			err = errors.Join(err, errors.New("a certificate revocation list needs the certificates of its authorities"))
		}
		return config, err
	}
	authorities, caErr := readAuthorities(f.CA)
	config.ClientCAs, config.ClientAuth = authorities, tls.VerifyClientCertIfGiven
	var crlErr error
	if f.CRL != "" {
		var lists []*x509.RevocationList
		lists, crlErr = readRevocationLists(f.CRL)
		config.VerifyConnection = func(state tls.ConnectionState) error { return checkRevoked(state.VerifiedChains, lists) }
	}
	return config, errors.Join(err, caErr, crlErr)
}

// pair reads the certificate and its key.
func (f Files) pair() (tls.Certificate, error) {
	certificate, certErr := os.ReadFile(f.Certificate)
	if certErr != nil {
		certErr = fmt.Errorf("could not load server certificate file %q: %w", f.Certificate, errors.Unwrap(certErr))
	}
	key, keyErr := readKey(f.Key)
	if err := errors.Join(certErr, keyErr); err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("could not use certificate %q with private key %q: %w", f.Certificate, f.Key, err)
	}
	return pair, nil
}

func readAuthorities(name string) (*x509.CertPool, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("could not load root certificate file %q: %w", name, errors.Unwrap(err))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("root certificate file %q holds no certificate", name)
	}
	return pool, nil
}
