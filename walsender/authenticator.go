package walsender

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
)

// Authenticator decides whether a peer is the role that it says it is, and what it
// may do (§1.10, §1.11). Package [auth] has the one of a file of rules ([auth.Open]); one of
// one's own needs a single method.
//
// A [Handshake] has SASL and nothing else ([Handshake.StartSASL]): a password in clear
// text cannot be asked for (§1.10), so that a directory which wants to see the password,
// such as LDAP, cannot be asked. For SCRAM-SHA-256, [auth.ParseVerifier] reads what a
// password is checked against.
//
// [auth]: https://pkg.go.dev/github.com/pgparallel/pgparallel/walsender/auth
// [auth.Open]: https://pkg.go.dev/github.com/pgparallel/pgparallel/walsender/auth#Open
// [auth.ParseVerifier]: https://pkg.go.dev/github.com/pgparallel/pgparallel/walsender/auth#ParseVerifier
type Authenticator interface {
	// Authenticate is called once a connection, on its goroutine, for many
	// connections at once, before AuthenticationOk. ctx ends with the server and
	// with [Server.AuthTimeout]; what the peer is asked ends then by itself. The
	// handshake is of no use after the return.
	//
	// A *[protocol.Error] in the error is what the peer is told, as FATAL; one of class
	// 28 after [Server.AuthFailureDelay]. Any other error is told as XX000 "internal error
	// of the server, see its log", also one that wraps an error of some context; once ctx
	// itself has ended, as 57014 or 57P01. The whole error goes to the log. Errors of the
	// handshake's methods are returned as they are.
	Authenticate(ctx context.Context, h *Handshake) (Grant, error)
}

// Grant is what a session may do. The zero Grant allows IDENTIFY_SYSTEM, SHOW and
// TIMELINE_HISTORY only.
type Grant struct {
	Backup      bool // the seven commands of a parallel backup
	PassThrough bool // what is handed to the cluster's own walsender ([PassThrough])
	Monitor     bool // to be told of the running backups of every role, not only of its own

	// Identity is what the peer has proved to be, for the log: the name in a
	// certificate, the user of a socket, a role whose password it knows. Empty:
	// nothing was proved.
	Identity string
	// Method is how, for the log: a word such as "cert".
	Method string
}

// Everything allows all that there is, to a peer that has proved nothing.
func Everything() Grant { return Grant{Backup: true, PassThrough: true, Monitor: true} }

// maxSASLMessage is PostgreSQL's limit of a message of the exchange
// (PG_MAX_SASL_MESSAGE_LENGTH), in bytes.
const maxSASLMessage = 1024

// Handshake is a connection that waits to be let in.
type Handshake struct {
	User            string // the role that the startup packet names; never empty
	Database        string // as the startup packet names it; empty if it does not
	ApplicationName string // what the client calls itself; empty if nothing
	Local, Remote   net.Addr

	// TLS is the state of the connection under TLS, with the client's certificate if
	// it sent one; nil without TLS.
	TLS *tls.ConnectionState
	// ServerCertificate is the one that the server showed; nil without TLS.
	ServerCertificate *x509.Certificate

	raw net.Conn
	in  *bufio.Reader
	out *output
}

// StartSASL offers the mechanisms, the preferred one first, and returns the peer's
// choice, which is one of them, with the peer's first message; nil if it sent none.
// The error is 08P01 for another choice, or a connection that is lost: a client that
// has no password goes away here, to ask its user for one.
func (h *Handshake) StartSASL(mechanisms ...string) (mechanism string, first []byte, err error) {
	if err := h.say(&pgproto3.AuthenticationSASL{AuthMechanisms: mechanisms}); err != nil {
		return "", nil, err
	}
	body, err := h.response()
	if err != nil {
		return "", nil, err
	}
	var chosen pgproto3.SASLInitialResponse
	if err := chosen.Decode(body); err != nil {
		return "", nil, protocol.Fatalf(protocol.CodeProtocolViolation, "invalid SASL response")
	}
	if !slices.Contains(mechanisms, chosen.AuthMechanism) {
		return "", nil, protocol.Fatalf(protocol.CodeProtocolViolation, "client selected an invalid SASL authentication mechanism")
	}
	return chosen.AuthMechanism, chosen.Data, nil
}

// ContinueSASL sends a challenge and returns the peer's answer to it.
func (h *Handshake) ContinueSASL(challenge []byte) (answer []byte, err error) {
	if err := h.say(&pgproto3.AuthenticationSASLContinue{Data: challenge}); err != nil {
		return nil, err
	}
	return h.response()
}

// FinishSASL sends the last message of an exchange that has succeeded, by which the
// peer may know the server.
func (h *Handshake) FinishSASL(outcome []byte) error {
	return h.out.send(&pgproto3.AuthenticationSASLFinal{Data: outcome})
}

// PeerUID is the system's user at the other end of a Unix socket. The error is
// [errors.ErrUnsupported] for another connection, and where the system does not tell.
func (h *Handshake) PeerUID() (uint32, error) { return peer.UID(h.raw) }

func (h *Handshake) say(m pgproto3.BackendMessage) error {
	if err := h.out.send(m); err != nil {
		return err
	}
	return h.out.flush()
}

// response reads the body of one message of the exchange.
func (h *Handshake) response() ([]byte, error) {
	var header [5]byte
	if _, err := io.ReadFull(h.in, header[:]); err != nil {
		return nil, fmt.Errorf("reading a SASL response: %w: %w", errNotSession, err)
	}
	if header[0] != 'p' {
		return nil, protocol.Fatalf(protocol.CodeProtocolViolation, "expected SASL response, got message type %d", header[0])
	}
	length := binary.BigEndian.Uint32(header[1:])
	if length < 4 || length > 4+maxSASLMessage {
		return nil, protocol.Fatalf(protocol.CodeProtocolViolation, "invalid message length")
	}
	body := make([]byte, length-4)
	if _, err := io.ReadFull(h.in, body); err != nil {
		return nil, fmt.Errorf("reading a SASL response: %w: %w", errNotSession, err)
	}
	return body, nil
}
