package auth

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	"github.com/xdg-go/scram"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// The names of the mechanisms.
const (
	mechanismSCRAM     = "SCRAM-SHA-256"
	mechanismSCRAMPlus = "SCRAM-SHA-256-PLUS"
)

// errPassword is what a peer is told that has not proved to know the password.
func errPassword(user string) *protocol.Error {
	return protocol.Fatalf(protocol.CodeInvalidPassword, "password authentication failed for user %q", user)
}

// scram asks for the password of the role (RFC 5802, 7677; auth-scram.c). mustBind
// takes it over a bound channel only.
func (p *policy) scram(ctx context.Context, h *walsender.Handshake, mustBind bool) error {
	if _, known := p.users.byName[h.User]; !known && !mustBind && p.config.PassThrough != nil {
		return p.config.PassThrough(ctx, h)
	}
	v, unknown, err := p.verifier(ctx, h.User)
	if err != nil {
		return fmt.Errorf("%w: %w", protocol.Fatalf(protocol.CodeCannotConnectNow, "could not look up the password of the role"), err)
	}
	binding := endpointBinding(h.ServerCertificate)
	var mechanisms []string
	if binding.IsSupported() {
		mechanisms = append(mechanisms, mechanismSCRAMPlus)
	} else if mustBind {
		return fmt.Errorf("%w (the server's certificate has no hash to bind to, as one that is signed with Ed25519)",
			protocol.Fatalf(protocol.CodeInvalidAuthorization, "channel binding is required, and the server cannot do it"))
	}
	// Some clients go away where the plain one is not offered beside the other.
	mechanism, first, err := h.StartSASL(append(mechanisms, mechanismSCRAM)...)
	if err != nil {
		return err
	}
	if mustBind && mechanism != mechanismSCRAMPlus {
		return protocol.Fatalf(protocol.CodeInvalidAuthorization, "channel binding is required").
			WithHint("Connect with channel_binding=require.")
	}
	talk, err := newConversation(v, binding, mechanism == mechanismSCRAMPlus)
	if err != nil {
		return err
	}
	return converse(h, talk, first, unknown)
}

// newConversation is the server's side of one exchange.
func newConversation(v Verifier, binding scram.ChannelBinding, bound bool) (*scram.ServerConversation, error) {
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) {
		// The name in the messages is of no account: the startup packet's is.
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: string(v.Salt), Iters: v.Iterations},
			StoredKey:  v.StoredKey, ServerKey: v.ServerKey,
		}, nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("beginning a SCRAM exchange: %w", err)
	case bound:
		return server.NewConversationWithChannelBindingRequired(binding), nil
	}
	// One that knows of the binding refuses a client that thinks there is none.
	return server.NewConversationWithChannelBinding(binding), nil
}

// converse goes through the two rounds. unknown says why no password can be right: the
// peer sees no difference.
func converse(h *walsender.Handshake, talk *scram.ServerConversation, first []byte, unknown error) error {
	challenge, err := talk.Step(string(first))
	if err != nil {
		return scramError(h.User, challenge, err)
	}
	if talk.AuthzID() != "" {
		return protocol.Fatalf(protocol.CodeFeatureNotSupported, "client uses authorization identity, but it is not supported")
	}
	answer, err := h.ContinueSASL([]byte(challenge))
	if err != nil {
		return err
	}
	outcome, err := talk.Step(string(answer))
	switch {
	case unknown != nil && err == nil:
		return scramError(h.User, scram.ErrInvalidProof, unknown) // no proof is of any use
	case unknown != nil:
		return scramError(h.User, outcome, unknown)
	case err != nil:
		return scramError(h.User, outcome, err)
	}
	return h.FinishSASL([]byte(outcome))
}

// scramError is what PostgreSQL says of the error that the exchange ended with.
func scramError(user, outcome string, cause error) error {
	var wire *protocol.Error
	switch outcome {
	case scram.ErrInvalidProof:
		wire = errPassword(user)
	case scram.ErrChannelBindingsDontMatch:
		wire = protocol.Fatalf(protocol.CodeInvalidAuthorization, "SCRAM channel binding check failed")
	case scram.ErrServerDoesSupportChannelBinding:
		wire = protocol.Fatalf(protocol.CodeInvalidAuthorization, "SCRAM channel binding negotiation error")
	default:
		wire = protocol.Fatalf(protocol.CodeProtocolViolation, "malformed SCRAM message")
	}
	return fmt.Errorf("%w: %w", wire, cause)
}

// endpointBinding is tls-server-end-point of the certificate (RFC 5929, section 4.1): its
// hash by the algorithm that it is signed with, SHA-256 for MD5 and SHA-1. There is none
// without TLS, and for a signature without one such algorithm, as Ed25519's: libpq has
// no binding for it either.
func endpointBinding(certificate *x509.Certificate) scram.ChannelBinding {
	if certificate == nil {
		return scram.ChannelBinding{}
	}
	var hash crypto.Hash
	switch certificate.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1,
		x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256, x509.DSAWithSHA256:
		hash = crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		hash = crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		hash = crypto.SHA512
	default:
		return scram.ChannelBinding{}
	}
	sum := hash.New()
	sum.Write(certificate.Raw)
	return scram.ChannelBinding{Type: scram.ChannelBindingTLSServerEndpoint, Data: sum.Sum(nil)}
}

// mock makes verifiers that no password fits, for roles that cannot log in.
type mock struct {
	secret     []byte
	iterations int
}

// newMock makes salts that stay the same for a role, also over restarts: they depend on
// the file's first password. Without one they last as long as the program.
func newMock(first *Verifier) (mock, error) {
	m := mock{iterations: DefaultIterations, secret: make([]byte, sha256.Size)}
	if first != nil {
		m.secret = sign(first.ServerKey, "mock authentication nonce")
		m.iterations = first.Iterations
		return m, nil
	}
	_, err := rand.Read(m.secret)
	return m, err
}

func (m mock) verifier(user string) Verifier {
	mac := hmac.New(sha256.New, m.secret)
	mac.Write([]byte(user))
	sum := mac.Sum(nil)
	return Verifier{Iterations: m.iterations, Salt: sum[:saltLength], StoredKey: sum, ServerKey: sum}
}
