package conninfo

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

func tlsVersion(name string) uint16 {
	return map[string]uint16{
		"tlsv1": tls.VersionTLS10, "tlsv1.1": tls.VersionTLS11, "tlsv1.2": tls.VersionTLS12, "tlsv1.3": tls.VersionTLS13,
	}[strings.ToLower(name)]
}

func isTLSVersion(name string) error {
	if name != "" && tlsVersion(name) == 0 {
		return quotedValue(name)
	}
	return nil
}

// tlsConfigs are the ways to connect to a server, in the order in which they are
// tried; nil is without TLS.
func (i *Info) tlsConfigs(s server) ([]*tls.Config, error) {
	mode := i.text("sslmode")
	if s.isUnix() || mode == "disable" {
		return []*tls.Config{nil}, nil
	}
	config, err := i.tlsConfig(s)
	if err != nil {
		return nil, err
	}
	switch mode {
	case "allow":
		return []*tls.Config{nil, config}, nil
	case "prefer":
		return []*tls.Config{config, nil}, nil
	}
	return []*tls.Config{config}, nil
}

// tlsConfig is TLS as libpq does it (fe-secure-openssl.c, initialize_SSL): with root
// certificates the server's is verified in every mode, and its name in verify-full.
func (i *Info) tlsConfig(s server) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:         tlsVersion(i.text("ssl_min_protocol_version")),
		MaxVersion:         tlsVersion(i.text("ssl_max_protocol_version")),
		InsecureSkipVerify: true, // see VerifyConnection below
	}
	if strings.HasPrefix(i.text("sslsni"), "1") && net.ParseIP(s.host) == nil {
		config.ServerName = s.host
	}
	if i.text("sslnegotiation") == "direct" {
		config.NextProtos = []string{"postgresql"}
	}
	roots, err := i.rootCertificates()
	if err != nil {
		return nil, err
	}
	full := i.text("sslmode") == "verify-full"
	if full && s.host == "" {
		return nil, errors.New("host name must be specified for a verified TLS connection")
	}
	if roots != nil {
		config.VerifyConnection = func(state tls.ConnectionState) error {
			return verifyServer(state.PeerCertificates, roots, s.host, full)
		}
	}
	config.Certificates, err = i.clientCertificates()
	return config, err
}

// rootCertificates are those that the server's certificate is verified by; nil means
// that it is not.
func (i *Info) rootCertificates() (*x509.CertPool, error) {
	name := i.text("sslrootcert")
	if name == "system" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("could not load the system's root certificates: %w", err)
		}
		return roots, nil
	}
	if name == "" {
		name = inHome(".postgresql/root.crt")
	}
	if _, err := os.Stat(name); err != nil {
		if strings.HasPrefix(i.text("sslmode"), "verify-") {
			return nil, fmt.Errorf("root certificate file %q does not exist; provide it, use the system's trusted roots with sslrootcert=system, or change sslmode", name)
		}
		return nil, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("could not read root certificate file %q: %w", name, errors.Unwrap(err))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("root certificate file %q holds no certificate", name)
	}
	if crl := inHome(".postgresql/root.crl"); crl != "" {
		if _, err := os.Stat(crl); err == nil { // libpq would ask it
			return nil, fmt.Errorf("certificate revocation list %q cannot be used: such lists are not supported", crl)
		}
	}
	return roots, nil
}

// verifyServer verifies the server's chain of certificates, and its name if asked.
func verifyServer(chain []*x509.Certificate, roots *x509.CertPool, host string, name bool) error {
	if len(chain) == 0 {
		return errors.New("server presented no certificate")
	}
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(o); err != nil {
		return err
	}
	if !name {
		return nil
	}
	leaf := *chain[0]
	if len(leaf.DNSNames) == 0 && leaf.Subject.CommonName != "" {
		// A certificate of old has its name there only, and libpq takes it.
		leaf.DNSNames = []string{leaf.Subject.CommonName}
	}
	return leaf.VerifyHostname(host)
}
