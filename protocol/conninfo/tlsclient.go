package conninfo

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// clientCertificates are the client's certificate with its key, if there is one.
func (i *Info) clientCertificates() ([]tls.Certificate, error) {
	if i.text("sslcertmode") == "disable" {
		return nil, nil
	}
	name := i.text("sslcert")
	if name == "" {
		name = inHome(".postgresql/postgresql.crt")
	}
	certificate, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("could not open certificate file %q: %w", name, errors.Unwrap(err))
	}
	keyName := i.text("sslkey")
	if keyName == "" {
		keyName = inHome(".postgresql/postgresql.key")
	}
	key, err := readKey(keyName, i.text("sslpassword"))
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("could not use certificate %q with private key %q: %w", name, keyName, err)
	}
	return []tls.Certificate{pair}, nil
}

// readKey reads a private key as PEM, decrypted. It must not be open to others; root's
// may be to a group.
func readKey(name, password string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("certificate present, but not private key file %q", name)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("private key file %q is not a regular file", name)
	}
	forbidden := fs.FileMode(0o077)
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid == 0 {
		forbidden = 0o037
	}
	if info.Mode().Perm()&forbidden != 0 {
		return nil, fmt.Errorf("private key file %q has group or world access; it must have permissions u=rw (0600) or less, or u=rw,g=r (0640) or less if root owns it", name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("could not load private key file %q: %w", name, errors.Unwrap(err))
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return decryptKey(name, block, password)
		}
	}
	return nil, fmt.Errorf("private key file %q holds no private key in PEM format", name)
}

// decryptKey takes the encryption off a key that has one of its own, as of OpenSSL's
// traditional format.
func decryptKey(name string, block *pem.Block, password string) ([]byte, error) {
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return nil, fmt.Errorf("private key file %q is encrypted as PKCS #8, which is not supported", name)
	//lint:ignore SA1019 libpq takes them
	case !x509.IsEncryptedPEMBlock(block):
		return pem.EncodeToMemory(block), nil
	case password == "":
		return nil, fmt.Errorf("private key file %q is encrypted: sslpassword must be given", name)
	}
	//lint:ignore SA1019 libpq takes them
	der, err := x509.DecryptPEMBlock(block, []byte(password))
	if err != nil {
		return nil, fmt.Errorf("could not decrypt private key file %q: %w", name, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), nil
}
