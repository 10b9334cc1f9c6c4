package wire

import (
	"crypto/tls"
	"errors"
	"strings"
)

// tlsRefused is what becomes of a server without TLS where there must be some.
const tlsRefused = "server does not support TLS, which sslmode requires"

// settingText is what is wrong with a server that the user's own settings refuse: one that
// offers no TLS, shows another certificate, or authenticates less strictly than was asked for.
// It names the setting. Empty: something else is wrong. pgconn has no types for most of these
// errors, so their words have to do.
func settingText(err error) string {
	text := line(err)
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "server does not begin with TLS, as sslnegotiation=direct asks it to"
	}
	if _, requirement, found := strings.Cut(text, "require_auth check failed: authentication method requirement "); found {
		wanted, reason, _ := strings.Cut(requirement, " failed: ")
		return reason + ", which require_auth=" + strings.Trim(wanted, `"`) + " refuses"
	}
	if _, certificate, found := strings.Cut(text, "x509: "); found {
		return "server's certificate is not one that sslmode and sslrootcert accept: " + certificate
	}
	if i := strings.Index(text, "channel binding required"); i >= 0 {
		return text[i:] + " (channel_binding=require)"
	}
	if strings.HasSuffix(text, "server refused TLS connection") {
		return tlsRefused
	}
	return ""
}

// withoutFallbacks leaves out that a server has no TLS where it was tried without it, too:
// what it said then is what counts.
func withoutFallbacks(lines []string) []string {
	var kept []string
	for i, l := range lines {
		server, refused := strings.CutSuffix(l, tlsRefused)
		triedAgain := false
		for j, other := range lines {
			triedAgain = triedAgain || j != i && strings.HasPrefix(other, server)
		}
		if !refused || !triedAgain {
			kept = append(kept, l)
		}
	}
	return kept
}
