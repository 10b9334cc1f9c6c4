package tlsfiles_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/tlsfiles"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, name string, blocks ...*pem.Block) {
	t.Helper()
	var text []byte
	for _, b := range blocks {
		text = append(text, pem.EncodeToMemory(b)...)
	}
	must(t, os.WriteFile(name, text, 0o600))
}

// authority issues certificates for the test.
type authority struct {
	dir         string
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(t testing.TB, dir, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), SubjectKeyId: []byte(name),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	write(t, filepath.Join(dir, name+".crt"), &pem.Block{Type: "CERTIFICATE", Bytes: der})
	return &authority{dir, certificate, key}
}

// issue writes NAME.crt and NAME.key with the serial number.
func (a *authority) issue(t testing.TB, name string, serial int64) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	write(t, filepath.Join(a.dir, name+".crt"), &pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(a.dir, name+".key"), &pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// revoke writes NAME.crl, a list of serial numbers.
func (a *authority) revoke(t testing.TB, name string, next time.Time, serials ...int64) {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: next}
	for _, s := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.certificate, a.key)
	must(t, err)
	write(t, filepath.Join(a.dir, name+".crl"), &pem.Block{Type: "X509 CRL", Bytes: der})
}

func (a *authority) files() tlsfiles.Files {
	return tlsfiles.Files{Certificate: filepath.Join(a.dir, "server.crt"), Key: filepath.Join(a.dir, "server.key")}
}

// handshake is one between the two configurations: the name that the client saw, and the
// server's error.
func handshake(t testing.TB, server, client *tls.Config) (name string, err error) {
	t.Helper()
	here, there := net.Pipe()
	ended := make(chan error, 1)
	go func() { // ends with the handshake
		s := tls.Server(there, server)
		ended <- s.Handshake()
		there.Close()
	}()
	client.InsecureSkipVerify = true
	c := tls.Client(here, client)
	if c.Handshake() == nil {
		name = c.ConnectionState().PeerCertificates[0].Subject.CommonName
		_, _ = io.Copy(io.Discard, c) // with TLS 1.3 the server judges later
	}
	here.Close()
	return name, <-ended
}

func TestTLS_Versions(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t, dir, "root")
	a.issue(t, "server", 2)
	files, err := tlsfiles.Open(a.files())
	must(t, err)
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		_, err := handshake(t, files.Config(), &tls.Config{MinVersion: version, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

// TestTLS_Reload shows a new certificate to those who come after it, and the old one
// where the new is broken.
func TestTLS_Reload(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t, dir, "root")
	a.issue(t, "server", 2)
	a.issue(t, "other", 3)
	files, err := tlsfiles.Open(a.files())
	must(t, err)
	config := files.Config()
	for _, step := range []struct {
		from, to string
		ok       bool
		want     string
	}{
		{"other.key", "server.key", false, "server"}, // of another certificate
		{"other.crt", "server.crt", true, "other"},
		{"root.crt", "server.crt", false, "other"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, step.from))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, step.to), text, 0o600))
		if err := files.Reload(); (err == nil) != step.ok {
			t.Errorf("%s as %s: %v", step.from, step.to, err)
		}
		if name, err := handshake(t, config, &tls.Config{}); err != nil || name != step.want {
			t.Errorf("after %s as %s the certificate of %q is shown, %v", step.from, step.to, name, err)
		}
	}
}

// TestTLS_Reload_Session goes on with a session that began under the old certificate.
func TestTLS_Reload_Session(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t, dir, "root")
	a.issue(t, "server", 2)
	files, err := tlsfiles.Open(a.files())
	must(t, err)
	server := &walsender.Server{Cluster: walsendertest.Primary(), TLSConfig: files.Config()}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }() // ends with Close
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	words := fmt.Sprintf("host=127.0.0.1 port=%d user=backup replication=true sslmode=verify-ca sslrootcert=", l.Addr().(*net.TCPAddr).Port)
	before, err := pgconn.Connect(t.Context(), words+filepath.Join(dir, "root.crt"))
	must(t, err)
	defer before.Close(t.Context())
	old := filepath.Join(dir, "old.crt")
	must(t, os.Rename(filepath.Join(dir, "root.crt"), old))
	newAuthority(t, dir, "root").issue(t, "server", 2)
	must(t, files.Reload())
	if _, err := before.Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll(); err != nil {
		t.Errorf("the session does not go on: %v", err)
	}
	after, err := pgconn.Connect(t.Context(), words+filepath.Join(dir, "root.crt"))
	must(t, err)
	must(t, after.Close(t.Context()))
	if after, err := pgconn.Connect(t.Context(), words+old); err == nil {
		must(t, after.Close(t.Context()))
		t.Error("the old certificate is shown still")
	}
}

func TestTLS_ClientCertificates(t *testing.T) {
	dir := t.TempDir()
	a, stranger := newAuthority(t, dir, "root"), newAuthority(t, t.TempDir(), "root")
	a.issue(t, "server", 2)
	good, bad, other := a.issue(t, "good", 3), a.issue(t, "bad", 4), stranger.issue(t, "other", 5)
	a.revoke(t, "list", time.Now().Add(time.Hour), 4)
	a.revoke(t, "old", time.Now().Add(-time.Minute))
	stranger.revoke(t, "strange", time.Now().Add(time.Hour))
	withCA, withCRL, withOld, withStrange := a.files(), a.files(), a.files(), a.files()
	withCA.CA = filepath.Join(dir, "root.crt")
	withCRL.CA, withCRL.CRL = withCA.CA, filepath.Join(dir, "list.crl")
	withOld.CA, withOld.CRL = withCA.CA, filepath.Join(dir, "old.crl")
	withStrange.CA, withStrange.CRL = withCA.CA, filepath.Join(stranger.dir, "strange.crl")
	for _, test := range []struct {
		name   string
		files  tlsfiles.Files
		client *tls.Certificate
		want   string // a part of the error
	}{
		{"none", withCRL, nil, ""},
		{"good", withCRL, &good, ""},
		{"good without a list", withCA, &good, ""},
		{"bad without a list", withCA, &bad, ""},
		{"bad", withCRL, &bad, `certificate "CN=bad" has been revoked`},
		{"of a stranger", withCA, &other, "unknown authority"},
		{"good, with an old list", withOld, &good, `the certificate revocation list of "CN=root" has expired`},
		{"good, with a list of a stranger", withStrange, &good, `there is no certificate revocation list of "CN=root"`},
		{"good, and nobody asks", a.files(), &good, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			files, err := tlsfiles.Open(test.files)
			must(t, err)
			client := &tls.Config{}
			if test.client != nil {
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return test.client, nil }
			}
			_, err = handshake(t, files.Config(), client)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("handshake: %v, want %q", err, test.want)
			}
		})
	}
}

func TestOpen_Refuses(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t, dir, "root")
	a.issue(t, "server", 2)
	key := filepath.Join(dir, "server.key")
	for name, test := range map[string]struct {
		prepare func(f *tlsfiles.Files)
		want    string
	}{
		"no certificate":   {func(f *tlsfiles.Files) { f.Certificate += "x" }, `could not load server certificate file "` + filepath.Join(dir, "server.crtx") + `": no such file or directory`},
		"no key":           {func(f *tlsfiles.Files) { f.Key += "x" }, `could not access private key file "` + key + `x": no such file or directory`},
		"a key for all":    {func(*tlsfiles.Files) { must(t, os.Chmod(key, 0o604)) }, `private key file "` + key + `" has group or world access`},
		"a key to write":   {func(*tlsfiles.Files) { must(t, os.Chmod(key, 0o660)) }, `private key file "` + key + `" has group or world access`},
		"a directory":      {func(f *tlsfiles.Files) { f.Key = dir }, `private key file "` + dir + `" is not a regular file`},
		"no authority":     {func(f *tlsfiles.Files) { f.CA = key }, `root certificate file "` + key + `" holds no certificate`},
		"a list alone":     {func(f *tlsfiles.Files) { f.CRL = key }, "a certificate revocation list needs the certificates of its authorities"},
		"no list":          {func(f *tlsfiles.Files) { f.CA, f.CRL = filepath.Join(dir, "root.crt"), key }, `certificate revocation list file "` + key + `" holds no list in PEM format`},
		"a key of another": {func(f *tlsfiles.Files) { f.Certificate = filepath.Join(dir, "root.crt") }, "private key does not match public key"},
	} {
		t.Run(name, func(t *testing.T) {
			must(t, os.Chmod(key, 0o600))
			files := a.files()
			test.prepare(&files)
			if _, err := tlsfiles.Open(files); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v\nwant %s", err, test.want)
			}
		})
	}
}

func TestSelfSigned(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	files, made, err := tlsfiles.SelfSigned(dir)
	if err != nil || !made {
		t.Fatalf("made %v, %v", made, err)
	}
	served, err := tlsfiles.Open(files)
	must(t, err)
	root, err := os.ReadFile(filepath.Join(dir, tlsfiles.RootFile))
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	for _, name := range []string{"localhost", "127.0.0.1"} {
		_, err := handshake(t, served.Config(), &tls.Config{VerifyConnection: func(s tls.ConnectionState) error {
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool, DNSName: name})
			return err
		}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, made, err := tlsfiles.SelfSigned(dir); err != nil || made {
		t.Errorf("the second time: made %v, %v", made, err)
	}
	// Somebody's own key is not overwritten.
	must(t, os.Remove(files.Certificate))
	if _, _, err := tlsfiles.SelfSigned(dir); err == nil {
		t.Error("a key that is there is overwritten")
	}
}
