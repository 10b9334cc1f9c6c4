package auth

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// attributes are OpenSSL's short names, which users write into their maps.
var attributes = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
	"2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.17": "postalCode",
	"2.5.4.42": "GN", "2.5.4.46": "dnQualifier", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
	"1.2.840.113549.1.9.1": "emailAddress",
}

// subject reads the name of a certificate as it stands there: pkix.Name loses the order.
func subject(c *x509.Certificate) (pkix.RDNSequence, error) {
	var name pkix.RDNSequence
	rest, err := asn1.Unmarshal(c.RawSubject, &name)
	if err == nil && len(rest) > 0 {
		err = errors.New("bytes behind it")
	}
	if err != nil {
		return nil, fmt.Errorf("could not read the certificate's name: %w", err)
	}
	return name, nil
}

// commonName is the certificate's first CN.
func commonName(c *x509.Certificate) (string, error) {
	name, err := subject(c)
	if err != nil {
		return "", err
	}
	for _, set := range name {
		for _, a := range set {
			if attributes[a.Type.String()] != "CN" {
				continue
			}
			text, isText := a.Value.(string)
			if !isText || text == "" || strings.Contains(text, "\x00") {
				return "", errors.New("the certificate's common name is no name")
			}
			return text, nil
		}
	}
	return "", errors.New("the certificate has no common name")
}

// distinguishedName is the certificate's name as OpenSSL writes it by RFC 2253, the last
// part first: what clientname=DN compares (be-secure-openssl.c).
func distinguishedName(c *x509.Certificate) (string, error) {
	name, err := subject(c)
	if err != nil {
		return "", err
	}
	var parts []string
	for _, set := range slices.Backward(name) {
		var values []string
		for _, a := range slices.Backward(set) {
			text, isText := a.Value.(string)
			short, known := attributes[a.Type.String()]
			if !isText || !known {
				return "", fmt.Errorf("the certificate's name has a part that is not known here: %s", a.Type)
			}
			values = append(values, short+"="+escapeValue(text))
		}
		parts = append(parts, strings.Join(values, "+"))
	}
	if len(parts) == 0 {
		return "", errors.New("the certificate has no name")
	}
	return strings.Join(parts, ","), nil
}

// escapeValue escapes as ASN1_STRFLGS_RFC2253 does.
func escapeValue(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case strings.IndexByte(`,+"\<>;`, c) >= 0,
			i == 0 && (c == '#' || c == ' '), i == len(text)-1 && c == ' ':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20 || c >= 0x7f:
			fmt.Fprintf(&b, `\%02X`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
