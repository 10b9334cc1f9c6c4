package tlsfiles

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The names of the files of [SelfSigned].
const (
	RootFile        = "root.crt" // what clients need: sslrootcert
	CertificateFile = "server.crt"
	KeyFile         = "server.key"
)

// selfSignedFor is how long the certificates are good for.
const selfSignedFor = 365 * 24 * time.Hour

// SelfSigned makes a directory with an authority's certificate and a pair for a server
// that it has signed, for every name and address of this machine: for trying out. The
// authority's key is thrown away, so nobody can issue anything else in its name. Files
// that are there are used as they are, and made is false.
func SelfSigned(dir string) (files Files, made bool, err error) {
	files = Files{Certificate: filepath.Join(dir, CertificateFile), Key: filepath.Join(dir, KeyFile)}
	if _, err := os.Stat(files.Certificate); !errors.Is(err, fs.ErrNotExist) {
		return files, false, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return files, false, err
	}
	return files, true, writeSelfSigned(dir)
}

func writeSelfSigned(dir string) error {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	host, names, addresses := ownNames()
	root := &x509.Certificate{
		Subject: pkix.Name{CommonName: "pgparallel on " + host}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, MaxPathLenZero: true,
	}
	rootCertificate, err := issue(root, root, rootKey.Public(), rootKey)
	if err != nil {
		return err
	}
	certificate, err := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: host}, DNSNames: names, IPAddresses: addresses,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, root, key.Public(), rootKey)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	// The certificate is last: by it the next start knows that all is there.
	return errors.Join(
		writePEM(filepath.Join(dir, KeyFile), "PRIVATE KEY", secret, 0o600),
		writePEM(filepath.Join(dir, RootFile), "CERTIFICATE", rootCertificate, 0o644),
		writePEM(filepath.Join(dir, CertificateFile), "CERTIFICATE", certificate, 0o644))
}

func issue(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour) // clients' clocks may be slow
	template.NotAfter = time.Now().Add(selfSignedFor)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return der, nil
}

// ownNames are the names and addresses under which clients may find this machine.
func ownNames() (host string, names []string, addresses []net.IP) {
	names = []string{"localhost"}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	} else {
		names = append(names, host)
	}
	list, _ := net.InterfaceAddrs() // without them the names have to do
	for _, a := range list {
		if prefix, ok := a.(*net.IPNet); ok {
			addresses = append(addresses, prefix.IP)
			names = append(names, prefix.IP.String()) // libpq before 15 looks for an address there
		}
	}
	return host, names, addresses
}

func writePEM(name, kind string, der []byte, mode fs.FileMode) error {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
