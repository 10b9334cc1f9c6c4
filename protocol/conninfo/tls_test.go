package conninfo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	a := &authority{cert: &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true}}
	_, a.key = a.sign(t, a.cert)
	return a
}

// sign makes a key and its certificate, as PEM.
func (a *authority) sign(t *testing.T, template *x509.Certificate) (pemCert []byte, key *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template.SerialNumber = big.NewInt(1)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, signer)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key
}

func pemKey(t *testing.T, key *ecdsa.PrivateKey) []byte {
	der, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// pair is a certificate for use.
func (a *authority) pair(t *testing.T, template *x509.Certificate) tls.Certificate {
	cert, key := a.sign(t, template)
	pair, err := tls.X509KeyPair(cert, pemKey(t, key))
	must(t, err)
	return pair
}

// handshake is that of the first configuration with TLS that a connection string has.
func handshake(t *testing.T, connString string, server *tls.Config) (tls.ConnectionState, error) {
	configs, err := resolve(t, connString).Configs()
	if err != nil {
		return tls.ConnectionState{}, err
	}
	config := configs[0].TLSConfig
	if config == nil {
		config = configs[0].Fallbacks[0].TLSConfig
	}
	near, far := net.Pipe()
	s := tls.Server(far, server)
	ended := make(chan struct{})
	go func() { // ends with the connection
		defer close(ended)
		if s.Handshake() == nil {
			s.Read(make([]byte, 1))
		}
		far.Close()
	}()
	c := tls.Client(near, config)
	err = c.HandshakeContext(t.Context())
	near.Close()
	<-ended
	return s.ConnectionState(), err
}

func TestTLS_Verification(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	ours, others := newAuthority(t), newAuthority(t)
	root := write(t, "root.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: selfSigned(t, ours)})))
	named := tls.Config{Certificates: []tls.Certificate{ours.pair(t, &x509.Certificate{DNSNames: []string{"db.test"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}})}}
	common := tls.Config{Certificates: []tls.Certificate{ours.pair(t, &x509.Certificate{Subject: pkix.Name{CommonName: "db.test"}})}}
	foreign := tls.Config{Certificates: []tls.Certificate{others.pair(t, &x509.Certificate{DNSNames: []string{"db.test"}})}}
	old := tls.Config{Certificates: named.Certificates, MaxVersion: tls.VersionTLS12}
	for _, test := range []struct {
		connString string
		server     *tls.Config
		want       string // in the error; empty: none
	}{
		{"host=db.test sslmode=require", &foreign, ""},
		{"host=db.test sslmode=prefer", &foreign, ""},
		{"host=db.test sslmode=allow", &foreign, ""},
		{"host=db.test sslmode=verify-ca", &named, "does not exist"},
		{"host=db.test sslmode=require sslrootcert=" + root, &foreign, "unknown authority"},
		{"host=db.test sslmode=prefer sslrootcert=" + root, &foreign, "unknown authority"},
		{"host=db.test sslmode=verify-ca sslrootcert=" + root, &foreign, "unknown authority"},
		{"host=elsewhere sslmode=verify-ca sslrootcert=" + root, &named, ""},
		{"host=elsewhere sslmode=verify-full sslrootcert=" + root, &named, "not elsewhere"},
		{"host=db.test sslmode=verify-full sslrootcert=" + root, &named, ""},
		{"host=db.test hostaddr=192.0.2.1 sslmode=verify-full sslrootcert=" + root, &named, ""},
		{"host=10.0.0.1 sslmode=verify-full sslrootcert=" + root, &named, ""},
		{"host=10.0.0.2 sslmode=verify-full sslrootcert=" + root, &named, "10.0.0.2"},
		{"hostaddr=10.0.0.1 sslmode=verify-full sslrootcert=" + root, &named, "host name must be specified"},
		{"host=db.test sslmode=verify-full sslrootcert=" + root, &common, ""},
		{"host=elsewhere sslmode=verify-full sslrootcert=" + root, &common, "not elsewhere"},
		{"host=db.test sslrootcert=system", &named, "unknown authority"},
		{"host=db.test ssl_min_protocol_version=TLSv1.3", &old, "protocol version"},
		{"host=db.test ssl_max_protocol_version=TLSv1.2", &named, ""},
		{"host=db.test sslmode=verify-full sslrootcert=/dev/null", &named, "holds no certificate"},
	} {
		_, err := handshake(t, test.connString, test.server)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.connString, err, test.want)
		}
	}
	// A list that libpq would ask is not left out in silence.
	must(t, os.Mkdir(filepath.Join(home, ".postgresql"), 0o700))
	must(t, os.WriteFile(filepath.Join(home, ".postgresql/root.crl"), nil, 0o600))
	if _, err := handshake(t, "host=db.test sslmode=verify-full sslrootcert="+root, &named); err == nil || !strings.Contains(err.Error(), "root.crl") {
		t.Errorf("with a revocation list: error %v", err)
	}
}

// selfSigned makes the authority's own certificate.
func selfSigned(t *testing.T, a *authority) []byte {
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	must(t, err)
	return der
}

func TestTLS_ServerName(t *testing.T) {
	pair := newAuthority(t).pair(t, &x509.Certificate{})
	for connString, want := range map[string]string{
		"host=db.test": "db.test", "host=db.test sslsni=0": "", "host=127.0.0.1": "", "host=db.test hostaddr=127.0.0.1": "db.test", "hostaddr=127.0.0.1": "",
	} {
		state, err := handshake(t, connString, &tls.Config{Certificates: []tls.Certificate{pair}})
		if err != nil || state.ServerName != want {
			t.Errorf("%s: name %q, error %v", connString, state.ServerName, err)
		}
	}
	state, err := handshake(t, "host=db.test sslmode=require sslnegotiation=direct", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"postgresql"}})
	if err != nil || state.NegotiatedProtocol != "postgresql" {
		t.Errorf("direct: protocol %q, error %v", state.NegotiatedProtocol, err)
	}
}

func TestTLS_ClientCertificate(t *testing.T) {
	a := newAuthority(t)
	server := &tls.Config{Certificates: []tls.Certificate{a.pair(t, &x509.Certificate{})}, ClientAuth: tls.RequestClientCert}
	text, key := a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "client"}})
	cert, keyFile := write(t, "client.crt", string(text)), write(t, "client.key", string(pemKey(t, key)))
	block, _ := pem.Decode(pemKey(t, key))
	//lint:ignore SA1019 libpq takes them
	locked, err := x509.EncryptPEMBlock(rand.Reader, block.Type, block.Bytes, []byte("sesame"), x509.PEMCipherAES256)
	must(t, err)
	lockedFile := write(t, "locked.key", string(pem.EncodeToMemory(locked)))
	modern := write(t, "modern.key", string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY"})))
	open := write(t, "open.key", string(pemKey(t, key)))
	must(t, os.Chmod(open, 0o644))
	for _, test := range []struct{ options, want string }{
		{"sslcert=/nonexistent", ""},
		{"sslcert=" + cert, "error: certificate present, but not private key file"},
		{"sslcert=" + cert + " sslkey=" + keyFile, "client"},
		{"sslcert=" + cert + " sslcertmode=disable sslkey=" + keyFile, ""},
		{"sslcert=" + cert + " sslkey=" + open, "error: private key file"},
		{"sslcert=" + cert + " sslkey=" + cert, "error: private key file"},
		{"sslcert=" + cert + " sslkey=" + lockedFile, "sslpassword must be given"},
		{"sslcert=" + cert + " sslkey=" + lockedFile + " sslpassword=wrong", "error: could not decrypt"},
		{"sslcert=" + cert + " sslkey=" + lockedFile + " sslpassword=sesame", "client"},
		{"sslcert=" + cert + " sslkey=" + modern, "PKCS #8, which is not supported"},
	} {
		state, err := handshake(t, "host=db.test "+test.options, server)
		got := ""
		if err != nil {
			got = "error: " + err.Error()
		} else if len(state.PeerCertificates) > 0 {
			got = state.PeerCertificates[0].Subject.CommonName
		}
		if test.want == "" && got != "" || !strings.Contains(got, test.want) || strings.Contains(got, "sesame") {
			t.Errorf("%s: %s, want %q", test.options, got, test.want)
		}
	}
}
