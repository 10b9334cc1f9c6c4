package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// Config says where an [Authenticator] has its rules and passwords from.
type Config struct {
	// HBA is the file of rules. It is required.
	HBA string
	// Users is the file of users, as pgbouncer's userlist.txt with groups behind: lines
	// of "name" "verifier" group…, where an empty verifier lets nobody in by a
	// password. The file must not be open to the world. Empty: no users.
	Users string
	// Ident is the file of maps. Empty: no maps.
	Ident string
	// Lookup asks a running PostgreSQL for the password of a role that is not in the
	// users file, as it is in pg_authid.rolpassword; empty where the role may not log
	// in, or does not exist. iterations are those of its passwords (scram_iterations):
	// a role that does not exist is answered with them, unless the users file has a
	// password, whose are taken then. It is called from many goroutines at once.
	Lookup func(ctx context.Context, role string) (rolpassword string, iterations int, err error)
	// PassThrough has a running PostgreSQL verify a peer whose role is not in the users
	// file, where the method is scram-sha-256: it hands the exchange through, and
	// returns nil once the peer has proved to be the role (livecluster's
	// [AuthenticatePeer]). Its errors are those of an Authenticator. It excludes Lookup,
	// and is called from many goroutines at once.
	//
	// [AuthenticatePeer]: https://pkg.go.dev/github.com/pgparallel/pgparallel/walsender/livecluster#Cluster.AuthenticatePeer
	PassThrough func(ctx context.Context, h *walsender.Handshake) error
	// TLS and ClientCA say whether the server has a certificate, and one to check
	// clients' certificates with: rules that need it are refused without.
	TLS, ClientCA bool
}

// Authenticator lets peers in by the rules of a file. Its methods may be called by many
// goroutines at once.
type Authenticator struct {
	config  Config
	current atomic.Pointer[policy]
}

var _ walsender.Authenticator = (*Authenticator)(nil)

// Open reads the files. The error joins all that is wrong with any line of them, or says
// that the configuration contradicts itself.
func Open(c Config) (*Authenticator, error) {
	if c.Lookup != nil && c.PassThrough != nil {
		return nil, errors.New("auth: Lookup and PassThrough exclude each other")
	}
	a := &Authenticator{config: c}
	return a, a.Reload()
}

// Reload reads the files again. Where anything is wrong the error says all of it, and
// the rules stay as they were. Sessions go on as they are.
func (a *Authenticator) Reload() error {
	p, err := readPolicy(a.config, a.current.Load())
	if err == nil {
		a.current.Store(p)
	}
	return err
}

// Ignored are the numbers of the lines of rules that fit nobody: their database does not
// include replication, or nobody is in their groups.
func (a *Authenticator) Ignored() []int { return a.current.Load().ignored }

// Authenticate lets a peer in as the first rule says that fits.
func (a *Authenticator) Authenticate(ctx context.Context, h *walsender.Handshake) (walsender.Grant, error) {
	return a.current.Load().authenticate(ctx, h)
}

// policy is what the files said when they were read.
type policy struct {
	config  Config
	rules   []rule
	ignored []int
	users   *userList
	maps    identMaps
	mock    mock
}

func readPolicy(c Config, before *policy) (*policy, error) {
	p := &policy{config: c, users: &userList{}}
	var wrong []error
	read := func(name string, private bool, parse func(text []byte, wrong *problems)) {
		if name == "" {
			return
		}
		text, err := readFile(name, private)
		if err != nil {
			wrong = append(wrong, err)
			return
		}
		found := &problems{file: name}
		parse(text, found)
		wrong = append(wrong, found.list...)
	}
	read(c.Users, true, func(text []byte, wrong *problems) { p.users = parseUsers(text, wrong) })
	read(c.Ident, false, func(text []byte, wrong *problems) { p.maps = parseIdent(text, p.users, wrong) })
	read(c.HBA, false, func(text []byte, wrong *problems) {
		parser := &hbaParser{config: &c, users: p.users, maps: p.maps, wrong: wrong}
		p.rules, p.ignored = parser.parse(text)
	})
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	if before != nil && p.users.first == nil && before.users.first == nil {
		p.mock = before.mock // its secret is to last
		return p, nil
	}
	var err error
	p.mock, err = newMock(p.users.first)
	return p, err
}

func (p *policy) authenticate(ctx context.Context, h *walsender.Handshake) (walsender.Grant, error) {
	for i := range p.rules {
		r := &p.rules[i]
		if !r.matches(h, p.users) {
			continue
		}
		if r.method == methodReject {
			return walsender.Grant{}, p.because(r, protocol.Fatalf(protocol.CodeInvalidAuthorization,
				"pg_hba.conf rejects replication connection for host %q, user %q, %s", hostName(h), h.User, encryption(h)))
		}
		identity, err := p.apply(ctx, r, h)
		if err != nil {
			return walsender.Grant{}, p.because(r, err)
		}
		grant := r.grant
		grant.Identity, grant.Method = identity, r.method
		return grant, nil
	}
	return walsender.Grant{}, fmt.Errorf("%w (no line of %q fits)", protocol.Fatalf(protocol.CodeInvalidAuthorization,
		"no pg_hba.conf entry for replication connection from host %q, user %q, %s", hostName(h), h.User, encryption(h)), p.config.HBA)
}

// because adds the rule that decided, for the log.
func (p *policy) because(r *rule, err error) error {
	return fmt.Errorf("%w (line %d of %q)", err, r.line, p.config.HBA)
}

// apply asks the peer for what the rule wants, and returns what it has proved to be.
func (p *policy) apply(ctx context.Context, r *rule, h *walsender.Handshake) (identity string, err error) {
	if r.clientCert != "" || r.method == methodCert {
		if h.TLS == nil || len(h.TLS.VerifiedChains) == 0 {
			return "", protocol.Fatalf(protocol.CodeInvalidAuthorization, "connection requires a valid client certificate")
		}
	}
	switch r.method {
	case methodPeer:
		identity, err = p.peer(r, h)
	case methodSCRAM, methodSCRAMPlus:
		identity, err = h.User, p.scram(ctx, h, r.method == methodSCRAMPlus)
	}
	if err == nil && (r.method == methodCert || r.clientCert == "verify-full") {
		identity, err = p.certificate(r, h)
	}
	return identity, err
}

// verifier is what the role's password is checked against. unknown says why no password
// is right, where none is; the verifier is then one that looks like others.
func (p *policy) verifier(ctx context.Context, role string) (v Verifier, unknown, err error) {
	if u, found := p.users.byName[role]; found && u.verifier != nil {
		return *u.verifier, nil, nil
	} else if found {
		return p.mock.verifier(role), fmt.Errorf("user %q has no password assigned", role), nil
	}
	if p.config.PassThrough != nil {
		return p.mock.verifier(role), fmt.Errorf("role %q is not in the users file, and the exchange cannot be handed through to PostgreSQL with channel binding: write scram-sha-256", role), nil
	}
	if p.config.Lookup == nil {
		return p.mock.verifier(role), fmt.Errorf("role %q does not exist", role), nil
	}
	text, iterations, err := p.config.Lookup(ctx, role)
	mock := p.mock
	if p.users.first == nil && iterations > 0 {
		mock.iterations = iterations
	}
	switch {
	case err != nil:
		return v, nil, err
	case text == "":
		return mock.verifier(role), fmt.Errorf("role %q does not exist, may not take backups, or has no password", role), nil
	}
	if v, err = ParseVerifier(text); err != nil {
		return mock.verifier(role), fmt.Errorf("role %q: %w", role, err), nil
	}
	return v, nil, nil
}

// hostName is the peer's address as PostgreSQL's messages have it.
func hostName(h *walsender.Handshake) string {
	if tcp, ok := h.Remote.(*net.TCPAddr); ok {
		return tcp.IP.String()
	}
	return "[local]"
}

func encryption(h *walsender.Handshake) string {
	if h.TLS != nil {
		return "SSL encryption"
	}
	return "no encryption"
}
