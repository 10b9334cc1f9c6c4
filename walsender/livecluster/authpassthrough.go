package livecluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

const (
	// mechanismSCRAM is the only one that can be handed through: the other binds to
	// the certificate of the server that the client is connected to, which is not
	// PostgreSQL's.
	mechanismSCRAM = "SCRAM-SHA-256"

	// authPlaces bounds how many connections to PostgreSQL peers can cause that are
	// not let in yet, and authTime for how long each.
	authPlaces = 8
	authTime   = 10 * time.Second

	// maxAuthMessage bounds a message of PostgreSQL's before ReadyForQuery, in bytes,
	// and maxAuthReports how many of them follow AuthenticationOk.
	maxAuthMessage = 64 << 10
	maxAuthReports = 256
)

// AuthenticatePeer has PostgreSQL verify the peer (§1.10): it hands the SCRAM exchange
// through to a replication connection of its own, in the peer's role and to the place of
// [Config.PassThrough]. The peer is the role once PostgreSQL has checked its proof and has
// opened the session, which is closed then: the password, VALID UNTIL, LOGIN, REPLICATION
// and pg_hba.conf are PostgreSQL's to judge. A role that PostgreSQL lets in without a
// SCRAM exchange is refused.
//
// The error has a *[protocol.Error] for the peer: PostgreSQL's own of class 28, 42501 and
// 08P01, 28000 where PostgreSQL asks for something else than SCRAM, or for nothing, and
// 57P03 where PostgreSQL does not answer, or is not the server of the data directory. The
// rest of the error is for the log. It ends with ctx, and ten seconds after its turn has
// come.
func (c *Cluster) AuthenticatePeer(ctx context.Context, h *walsender.Handshake) error {
	// The peer speaks first: one that is silent costs PostgreSQL nothing.
	_, first, err := h.StartSASL(mechanismSCRAM)
	if err != nil {
		return err
	}
	select {
	case c.verifying <- struct{}{}:
	case <-ctx.Done():
		return unverified(context.Cause(ctx))
	}
	free := sync.OnceFunc(func() { <-c.verifying })
	defer free()
	dir, release, err := c.Dir.Reopen() // PostgreSQL is to be the server that runs now
	if err != nil {
		return unverified(err)
	}
	defer release()
	ctx, settle := context.WithTimeoutCause(ctx, authTime, errors.New("the exchange with PostgreSQL took too long"))
	defer settle()
	v := &verification{cluster: &Cluster{dir, c.source}, h: h, first: first, ctx: ctx, settle: settle, free: free}
	_, _, err = connect(ctx, c.authServers, func(config *pgconn.Config) {
		config.User = h.User
		config.AfterNetConnect = v.connected
	})
	if v.settled {
		err = v.err
	}
	return v.refusal(err)
}

// checkAuthPassThrough refuses what a connection string asks for and an exchange that is
// handed through cannot keep.
func checkAuthPassThrough(flag string, configs []*pgconn.Config) error {
	for _, config := range configs {
		if config.ChannelBinding == "require" {
			return fmt.Errorf("channel_binding=require in the connection string for %s does not go with --auth-passthrough: the clients' exchange cannot be bound to PostgreSQL's certificate", flag)
		}
	}
	return nil
}

// verification is one exchange that is handed through.
type verification struct {
	cluster *Cluster
	h       *walsender.Handshake
	first   []byte             // the peer's first message
	ctx     context.Context    // of the whole
	settle  context.CancelFunc // ends ctx, and with it the search for a server
	free    func()             // gives the place back

	config   *pgconn.Config // of the connection
	frontend *pgproto3.Frontend
	settled  bool // a server has begun to authenticate: no other is tried
	err      error
}

// errSettled ends pgconn's part, which is to find the server and to begin TLS.
var errSettled = errors.New("the exchange was handed through")

// connected is pgconn's hook: the connection is there, nothing was sent. It always
// returns an error, with which pgconn closes the connection.
func (v *verification) connected(_ context.Context, config *pgconn.Config, conn net.Conn) (net.Conn, error) {
	if v.settled {
		return conn, errSettled
	}
	// A peer that lets PostgreSQL wait must not hold the connection longer than this.
	closed := make(chan struct{})
	stop := context.AfterFunc(v.ctx, func() {
		defer close(closed)
		_ = conn.Close() // what fails next is what counts
		v.free()
	})
	v.config = config
	v.err = v.verify(conn)
	if !stop() {
		<-closed
		v.err = unverified(context.Cause(v.ctx))
	}
	if !v.settled {
		return conn, v.err
	}
	v.settle()
	return conn, errSettled
}

// verify goes through the exchange, in which every message has its only place.
func (v *verification) verify(conn net.Conn) error {
	if _, secured := conn.(*tls.Conn); secured && bytes.HasPrefix(v.first, []byte("y")) {
		return fmt.Errorf("%w (the client can bind to a certificate, and PostgreSQL takes that for an attack under TLS of its own: let --passthrough or --cluster lead to its Unix socket)",
			protocol.Fatalf(protocol.CodeInvalidAuthorization, "SCRAM channel binding negotiation error"))
	}
	v.frontend = pgproto3.NewFrontend(conn, conn)
	v.frontend.SetMaxBodyLen(maxAuthMessage)
	m, err := v.ask(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{
		"user": v.h.User, "replication": "true", "application_name": "pgparallel",
	}})
	if err != nil {
		return err
	}
	v.settled = true
	outcome, err := v.exchange(m)
	if err != nil {
		return err
	}
	if err := v.opened(conn); err != nil {
		return err
	}
	v.close(conn)
	return v.h.FinishSASL(outcome)
}

// exchange hands the SCRAM messages through, byte for byte, up to AuthenticationOk. It
// returns PostgreSQL's last message to the peer, which the peer does not have yet.
func (v *verification) exchange(m pgproto3.BackendMessage) (outcome []byte, err error) {
	offer, ok := m.(*pgproto3.AuthenticationSASL)
	if !ok || !slices.Contains(offer.AuthMechanisms, mechanismSCRAM) {
		return nil, v.noExchange(m)
	}
	if m, err = v.ask(&pgproto3.SASLInitialResponse{AuthMechanism: mechanismSCRAM, Data: v.first}); err != nil {
		return nil, err
	}
	challenge, ok := m.(*pgproto3.AuthenticationSASLContinue)
	if !ok {
		return nil, unexpected(m)
	}
	answer, err := v.h.ContinueSASL(challenge.Data)
	if err != nil {
		return nil, err
	}
	if m, err = v.ask(&pgproto3.SASLResponse{Data: answer}); err != nil {
		return nil, err
	}
	final, ok := m.(*pgproto3.AuthenticationSASLFinal)
	if !ok {
		return nil, unexpected(m)
	}
	outcome = bytes.Clone(final.Data)
	if m, err = v.next(); err != nil {
		return nil, err
	}
	if _, ok := m.(*pgproto3.AuthenticationOk); !ok {
		return nil, unexpected(m)
	}
	return outcome, nil
}

// opened waits until the session is open, and makes sure that it is the role's, in the
// server of the data directory.
func (v *verification) opened(conn net.Conn) error {
	role, pid := "", uint32(0)
	for range maxAuthReports {
		m, err := v.next()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.ParameterStatus:
			if m.Name == "session_authorization" {
				role = m.Value
			}
		case *pgproto3.BackendKeyData:
			pid = m.ProcessID
		case *pgproto3.ReadyForQuery:
			// PostgreSQL cuts a name that is too long, and finds another role by it.
			if role != v.h.User {
				return fmt.Errorf("%w (PostgreSQL took it for %q)",
					protocol.Fatalf(protocol.CodeInvalidAuthorization, "role %q does not exist", v.h.User), role)
			}
			if err := v.cluster.proveProcess(v.ctx, conn, pid, role); err != nil {
				return unverified(err)
			}
			return nil
		default:
			return unexpected(m)
		}
	}
	return unverified(errors.New("PostgreSQL does not come to an end"))
}

// close ends the session, and waits a while until PostgreSQL's process has ended: its
// place among max_wal_senders may be the one that the peer needs next.
func (v *verification) close(conn net.Conn) {
	if conn.SetDeadline(time.Now().Add(closeTime)) != nil {
		return
	}
	v.frontend.Send(&pgproto3.Terminate{})
	if v.frontend.Flush() == nil {
		var rest [1]byte
		_, _ = conn.Read(rest[:]) // the server's close
	}
}

// ask sends a message and returns the answer.
func (v *verification) ask(m pgproto3.FrontendMessage) (pgproto3.BackendMessage, error) {
	v.frontend.Send(m)
	if err := v.frontend.Flush(); err != nil {
		return nil, unverified(err)
	}
	return v.next()
}

// next is PostgreSQL's next message. An error of PostgreSQL's is a *pgconn.PgError.
func (v *verification) next() (pgproto3.BackendMessage, error) {
	for range maxAuthReports {
		m, err := v.frontend.Receive()
		if err != nil {
			return nil, unverified(err)
		}
		switch m := m.(type) {
		case *pgproto3.NoticeResponse:
		case *pgproto3.ErrorResponse:
			return nil, pgconn.ErrorResponseToPgError(m)
		default:
			return m, nil
		}
	}
	return nil, unverified(errors.New("PostgreSQL sends nothing but notices"))
}

// refusal is err with what the peer is told.
func (v *verification) refusal(err error) error {
	refused, postgres := errors.AsType[*pgconn.PgError](err)
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, told := errors.AsType[*protocol.Error](err)
	switch {
	case told:
		return err
	case postgres && isTold(refused.Code):
		err = fmt.Errorf("%w (PostgreSQL's answer)", fromPostgres(refused, protocol.SeverityFatal))
	case postgres, connecting:
		err = unverified(err)
	default: // the peer's own connection, which is not reported
		return err
	}
	switch {
	case !postgres, refused.Code == protocol.CodeInvalidPassword:
		return err
	case refused.Code == protocol.CodeInvalidAuthorization && !v.settled:
		return hinted(err, "PostgreSQL's pg_hba.conf has to ask this server for the password: "+v.hbaLine())
	}
	return hinted(err, connectHint(refused, v.config, "replication"))
}

// isTold reports whether PostgreSQL's error with the SQLSTATE concerns the peer. The others
// tell of the server.
func isTold(code string) bool {
	return strings.HasPrefix(code, "28") || code == protocol.CodeInsufficientPrivilege || code == protocol.CodeProtocolViolation
}

// noExchange refuses a peer whom PostgreSQL does not ask for a SCRAM proof. Where
// PostgreSQL asks for nothing, what it trusts is this process, not the peer.
func (v *verification) noExchange(m pgproto3.BackendMessage) error {
	told := protocol.Fatalf(protocol.CodeInvalidAuthorization, "the password of user %q cannot be verified", v.h.User).
		WithHint("The log of this server has the details.")
	switch m.(type) {
	case *pgproto3.AuthenticationOk:
		return fmt.Errorf("%w: PostgreSQL lets this server in as the role without a password; put a line into its pg_hba.conf before the one that does, and reload: %s", told, v.hbaLine())
	case *pgproto3.AuthenticationMD5Password:
		return fmt.Errorf("%w: the password is stored as MD5; set it anew with password_encryption = 'scram-sha-256'", told)
	}
	return fmt.Errorf("%w: PostgreSQL does not ask for SCRAM-SHA-256 (%T); put a line into its pg_hba.conf before the one that fits now, and reload: %s", told, m, v.hbaLine())
}

// hbaLine is the line that PostgreSQL's pg_hba.conf needs.
func (v *verification) hbaLine() string {
	return strings.TrimSuffix(hbaLine(v.config, "replication"), "METHOD") + "scram-sha-256"
}

// unverified is the answer where it is not the peer's fault.
func unverified(err error) error {
	return fmt.Errorf("%w: %w", protocol.Fatalf(protocol.CodeCannotConnectNow, "the cluster's server cannot verify the password of the role now"), err)
}

func unexpected(m pgproto3.BackendMessage) error {
	return unverified(fmt.Errorf("unexpected message of PostgreSQL: %T", m))
}
