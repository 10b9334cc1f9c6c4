package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/auth"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write writes a file that only its owner can read, and returns its name.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// userLines is a users file; a user with its password and the groups behind it.
func userLines(t testing.TB, users ...[]string) string {
	t.Helper()
	text := ""
	for _, u := range users {
		v, err := auth.NewVerifier(u[1], 0)
		must(t, err)
		text += auth.UserLine(u[0], v, u[2:]...) + "\n"
	}
	return text
}

// open makes an Authenticator of texts.
func open(t testing.TB, hba, users, ident string) *auth.Authenticator {
	t.Helper()
	config := auth.Config{HBA: write(t, "hba.conf", hba), TLS: true, ClientCA: true}
	if users != "" {
		config.Users = write(t, "users.txt", users)
	}
	if ident != "" {
		config.Ident = write(t, "ident.conf", ident)
	}
	a, err := auth.Open(config)
	must(t, err)
	return a
}

// authority is a certificate authority for tests.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newKey(t testing.TB, algorithm x509.SignatureAlgorithm) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch algorithm {
	case x509.PureEd25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case x509.ECDSAWithSHA256, x509.ECDSAWithSHA384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	must(t, err)
	return key
}

// newAuthority makes one that signs with the algorithm.
func newAuthority(t testing.TB, algorithm x509.SignatureAlgorithm) *authority {
	t.Helper()
	key := newKey(t, algorithm)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SignatureAlgorithm: algorithm,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return &authority{certificate, key}
}

// issue makes a certificate for the name, and for 127.0.0.1.
func (a *authority) issue(t testing.TB, name pkix.Name) tls.Certificate {
	t.Helper()
	key := newKey(t, x509.ECDSAWithSHA256)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: name, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, SignatureAlgorithm: a.certificate.SignatureAlgorithm,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// pool holds the authority.
func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// file writes the authority's certificate.
func (a *authority) file(t testing.TB) string {
	return write(t, "root.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})))
}

// serverTLS is the configuration of a server whose certificate, and those of its clients,
// the authority has issued.
func (a *authority) serverTLS(t testing.TB) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{a.issue(t, pkix.Name{CommonName: "server"})},
		ClientCAs:    a.pool(), ClientAuth: tls.VerifyClientCertIfGiven,
	}
}

// serve serves a sample cluster on loopback until the end of the test.
func serve(t testing.TB, server *walsender.Server) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	serveOn(t, server, l)
	return l.Addr().(*net.TCPAddr)
}

func serveOn(t testing.TB, server *walsender.Server, l net.Listener) {
	t.Helper()
	server.Cluster = walsendertest.Primary()
	if server.AuthFailureDelay == 0 {
		server.AuthFailureDelay = -1
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }() // ends with Close
	t.Cleanup(func() {
		server.Close()
		<-done
	})
}

// connect connects by a connection string, and closes the connection again.
func connect(t testing.TB, text string) error {
	t.Helper()
	ctx, release := context.WithTimeout(t.Context(), 20*time.Second)
	defer release()
	c, err := pgconn.Connect(ctx, text)
	if err == nil {
		must(t, c.Close(ctx))
	}
	return err
}
