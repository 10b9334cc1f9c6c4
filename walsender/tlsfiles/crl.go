package tlsfiles

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

func readRevocationLists(name string) ([]*x509.RevocationList, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("could not load SSL certificate revocation list file %q: %w", name, errors.Unwrap(err))
	}
	var lists []*x509.RevocationList
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("could not load SSL certificate revocation list file %q: %w", name, err)
		}
		lists = append(lists, list)
	}
	if len(lists) == 0 {
		return nil, fmt.Errorf("certificate revocation list file %q holds no list in PEM format", name)
	}
	return lists, nil
}

// checkRevoked refuses a peer for whose certificate there is no chain in which every
// certificate, but for the root's, is on no list, and has one to be on: OpenSSL asks the
// same where PostgreSQL gives it lists (X509_V_FLAG_CRL_CHECK_ALL). A peer without a
// certificate has no chains.
func checkRevoked(chains [][]*x509.Certificate, lists []*x509.RevocationList) error {
	var first error
	for _, chain := range chains {
		err := checkChain(chain, lists)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func checkChain(chain []*x509.Certificate, lists []*x509.RevocationList) error {
	for i, c := range chain[:len(chain)-1] {
		if err := checkCertificate(c, chain[i+1], lists, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

func checkCertificate(c, issuer *x509.Certificate, lists []*x509.RevocationList, now time.Time) error {
	covered := false
	for _, list := range lists {
		if !bytes.Equal(list.RawIssuer, issuer.RawSubject) || list.CheckSignatureFrom(issuer) != nil {
			continue
		}
		if !list.NextUpdate.IsZero() && now.After(list.NextUpdate) {
			return fmt.Errorf("the certificate revocation list of %q has expired", issuer.Subject)
		}
		covered = true
		for _, revoked := range list.RevokedCertificateEntries {
			if revoked.SerialNumber.Cmp(c.SerialNumber) == 0 {
				return fmt.Errorf("certificate %q has been revoked", c.Subject)
			}
		}
	}
	if !covered {
		return fmt.Errorf("there is no certificate revocation list of %q", issuer.Subject)
	}
	return nil
}
