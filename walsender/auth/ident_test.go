package auth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/auth"
)

// certified is a connection of a client with this certificate that says to be the role.
func certified(role string, c *x509.Certificate) *walsender.Handshake {
	return &walsender.Handshake{
		User: role, Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)},
		TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}, VerifiedChains: [][]*x509.Certificate{{c}}},
	}
}

func parsed(t testing.TB, c tls.Certificate) *x509.Certificate {
	t.Helper()
	certificate, err := x509.ParseCertificate(c.Certificate[0])
	must(t, err)
	return certificate
}

// TestIdent_1_10 maps names as pg_ident.conf does.
func TestIdent_1_10(t *testing.T) {
	const maps = `
# MAP   SYSTEM              ROLE
nodes   alice               backup
nodes   "bob smith"         "two words"
nodes   /^node-(.*)$        n_\1
nodes   /^any-              all
nodes   admin               +admins
nodes   root                /^r[0-9]$
other   mallory             backup
nodes   quoted              "all"
`
	users := userLines(t, []string{"carol", "x", "admins"})
	a := newAuthority(t, x509.ECDSAWithSHA256)
	doors := open(t, "hostssl replication all all cert map=nodes\n", users, maps)
	for _, test := range []struct {
		identity, role string
		ok             bool
	}{
		{"alice", "backup", true}, {"alice", "alice", false}, {"Alice", "backup", false},
		{"bob smith", "two words", true}, {"node-7", "n_7", true}, {"node-7", "n_8", false}, {"a node-7", "n_7", false},
		{"any-thing", "whoever", true}, {"admin", "carol", true}, {"admin", "dave", false},
		{"root", "r1", true}, {"root", "r11", false}, {"mallory", "backup", false}, {"quoted", "all", true}, {"quoted", "x", false},
	} {
		certificate := parsed(t, a.issue(t, pkix.Name{CommonName: test.identity}))
		grant, err := doors.Authenticate(context.Background(), certified(test.role, certificate))
		if (err == nil) != test.ok || err == nil && (grant.Identity != test.identity || grant.Method != "cert") {
			t.Errorf("%s as %s: %+v, %v", test.identity, test.role, grant, err)
		}
	}
}

func TestIdent_Errors(t *testing.T) {
	for text, want := range map[string]string{
		"nodes alice":          "a line of a map is: map, system user, role",
		"nodes alice a,b":      "a line of a map is: map, system user, role",
		"nodes alice backup x": "a line of a map is: map, system user, role",
		"nodes /( backup":      "invalid regular expression \"(\": error parsing regexp: missing closing ): `(`",
		`nodes /^x$ b\1`:       `regular expression "^x$" has no subexpressions as requested by backreference in "b\\1"`,
		`nodes "alice backup`:  "unterminated quoted string",
	} {
		file := write(t, "ident.conf", "\n"+text+"\n")
		_, err := auth.Open(auth.Config{HBA: write(t, "hba.conf", ""), Ident: file})
		if want := fmt.Sprintf("line 2 of %q: %s", file, want); err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", text, err, want)
		}
	}
}

// TestDistinguishedName_OpenSSL compares names with OpenSSL's, by which users write
// their maps.
func TestDistinguishedName_OpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("needs openssl")
	}
	a := newAuthority(t, x509.ECDSAWithSHA256)
	attribute := func(oid asn1.ObjectIdentifier, value string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oid, Value: value}
	}
	for _, name := range []pkix.Name{
		{CommonName: "backup"},
		{CommonName: "a,b+c\"d\\e<f>g;h=i#", Organization: []string{" spaces "}, OrganizationalUnit: []string{"#one", "two"}},
		{CommonName: "höst", Country: []string{"DE"}, Province: []string{"B"}, Locality: []string{"L"}, SerialNumber: "1", StreetAddress: []string{"S 1"}, PostalCode: []string{"12345"}},
		{ExtraNames: []pkix.AttributeTypeAndValue{
			attribute(asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, "example"), attribute(asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, "me"),
			attribute(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, "me@example.org"), attribute(asn1.ObjectIdentifier{2, 5, 4, 3}, "tab\tin"),
			attribute(asn1.ObjectIdentifier{2, 5, 4, 12}, "title"), attribute(asn1.ObjectIdentifier{2, 5, 4, 42}, "given"), attribute(asn1.ObjectIdentifier{2, 5, 4, 4}, "sur"),
		}},
	} {
		certificate := a.issue(t, name)
		file := write(t, "c.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})))
		out, err := exec.Command(openssl, "x509", "-in", file, "-noout", "-subject", "-nameopt", "RFC2253").Output()
		must(t, err)
		want := strings.TrimSuffix(strings.TrimPrefix(string(out), "subject="), "\n")
		doors := open(t, "hostssl replication all all cert clientname=DN map=m\n", "", "m /^ all\n")
		grant, err := doors.Authenticate(context.Background(), certified("x", parsed(t, certificate)))
		if err != nil || grant.Identity != want {
			t.Errorf("%s: %q, %v; OpenSSL says %q", name, grant.Identity, err, want)
		}
	}
}

// TestCommonName_Refuses has certificates whose names are none.
func TestCommonName_Refuses(t *testing.T) {
	a := newAuthority(t, x509.ECDSAWithSHA256)
	doors := open(t, "hostssl replication all all cert\n", "", "")
	for _, name := range []pkix.Name{{}, {Organization: []string{"x"}}, {CommonName: "x\x00y"}} {
		_, err := doors.Authenticate(context.Background(), certified("x", parsed(t, a.issue(t, name))))
		if err == nil || !strings.Contains(err.Error(), "common name") {
			t.Errorf("%q: %v", name.CommonName, err)
		}
	}
}
