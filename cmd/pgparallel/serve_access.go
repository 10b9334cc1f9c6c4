package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/auth"
	"github.com/pgparallel/pgparallel/walsender/tlsfiles"
)

// accessOptions say who may connect, and how.
type accessOptions struct {
	Listen []string
	Auth   authMethod
	HBA    string `name:"hba"`
	Users  string
	Ident  string
	// SocketMode is the mode of the Unix socket.
	SocketMode socketMode `default:"0600"`
	// AuthQuery asks the running cluster for passwords.
	AuthQuery string
	// AuthPassthrough has the running cluster verify passwords.
	AuthPassthrough bool

	TLSCert       string `name:"tls-cert"`
	TLSKey        string `name:"tls-key"`
	TLSCA         string `name:"tls-ca"`
	TLSCRL        string `name:"tls-crl"`
	TLSSelfSigned string `name:"tls-self-signed"`
}

// check refuses options that do not fit each other.
func (o *accessOptions) check() error {
	hasTLS := o.TLSCert != "" || o.TLSSelfSigned != ""
	switch {
	case o.Auth != "" && o.HBA != "":
		return usagef("--auth and --hba cannot be used together")
	case len(o.Listen) > 0 && o.Auth == "" && o.HBA == "":
		return usagef("--listen requires --hba, or --auth=trust on a loopback address")
	case len(o.Listen) == 0 && o.Auth != "":
		return usagef("--auth requires --listen")
	case o.HBA == "" && (o.Users != "" || o.Ident != "" || o.AuthQuery != "" || o.AuthPassthrough):
		return usagef("--users, --ident, --auth-query and --auth-passthrough require --hba")
	case o.AuthQuery != "" && o.AuthPassthrough:
		return usagef("--auth-query and --auth-passthrough cannot be used together")
	case o.HBA == "" && o.SocketMode != 0o600:
		return usagef("--socket-mode requires --hba")
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return usagef("--tls-cert and --tls-key require each other")
	case o.TLSCert != "" && o.TLSSelfSigned != "":
		return usagef("--tls-self-signed and --tls-cert cannot be used together")
	case !hasTLS && (o.TLSCA != "" || o.TLSCRL != ""):
		return usagef("--tls-ca and --tls-crl require --tls-cert")
	case o.TLSCRL != "" && o.TLSCA == "":
		return usagef("--tls-crl requires --tls-ca")
	}
	return nil
}

// access is what decides who may connect, and can be read again.
type access struct {
	tls   *tlsfiles.TLS       // nil without TLS
	doors *auth.Authenticator // nil: the owner of the socket, or everybody on this machine
}

// clusterRoles is the running cluster as the one that knows roles and their passwords.
type clusterRoles interface {
	LookupPassword(ctx context.Context, role string) (rolpassword string, iterations int, err error)
	AuthenticatePeer(ctx context.Context, h *walsender.Handshake) error
}

// open reads the files. All that is wrong with them is told at once. roles is called for
// a peer, not before.
func (o *accessOptions) open(log *zap.Logger, out *console, roles func() clusterRoles) (a access, err error) {
	files := tlsfiles.Files{Certificate: o.TLSCert, Key: o.TLSKey, CA: o.TLSCA, CRL: o.TLSCRL}
	if o.TLSSelfSigned != "" {
		made, err := selfSigned(o.TLSSelfSigned, &files)
		if err != nil {
			return a, fmt.Errorf("could not make a certificate: %w", err)
		}
		if made {
			log.Info(fmt.Sprintf("made a certificate in %q, for trying out", o.TLSSelfSigned))
		}
		log.Info(fmt.Sprintf("clients need the file %q, and connect with sslmode=verify-full sslrootcert=FILE",
			filepath.Join(o.TLSSelfSigned, tlsfiles.RootFile)))
	}
	var tlsErr, authErr error
	if files.Certificate != "" {
		a.tls, tlsErr = tlsfiles.Open(files)
	}
	if o.HBA != "" {
		config := auth.Config{HBA: o.HBA, Users: o.Users, Ident: o.Ident, TLS: files.Certificate != "", ClientCA: files.CA != ""}
		o.askCluster(&config, roles)
		a.doors, authErr = auth.Open(config)
	}
	if err := errors.Join(tlsErr, authErr); err != nil {
		return a, reportAll(err, out)
	}
	a.warnIgnored(log)
	return a, nil
}

// askCluster has the running cluster answer for roles that are not in the users file.
func (o *accessOptions) askCluster(config *auth.Config, roles func() clusterRoles) {
	if o.AuthQuery != "" {
		config.Lookup = func(ctx context.Context, role string) (string, int, error) { return roles().LookupPassword(ctx, role) }
	}
	if o.AuthPassthrough {
		config.PassThrough = func(ctx context.Context, h *walsender.Handshake) error { return roles().AuthenticatePeer(ctx, h) }
	}
}

// selfSigned makes the files, or finds them.
func selfSigned(dir string, files *tlsfiles.Files) (made bool, err error) {
	own, made, err := tlsfiles.SelfSigned(dir)
	files.Certificate, files.Key = own.Certificate, own.Key
	return made, err
}

// reportAll tells each of several errors by itself, and returns errReported.
func reportAll(err error, out *console) error {
	for _, one := range flatten(err) {
		out.error(one)
	}
	return errReported
}

// flatten are the errors that are joined in one.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, flatten(one)...)
	}
	return all
}

// protect gives the server what decides.
func (a access) protect(server *walsender.Server) {
	if a.tls != nil {
		server.TLSConfig = a.tls.Config()
	}
	if a.doors != nil {
		server.Authenticator = a.doors
	}
}

// reload reads the files again; what is wrong leaves the old ones in force.
func (a access) reload(log *zap.Logger) {
	if a.tls != nil {
		a.told(log, "the certificate and its key", a.tls.Reload())
	}
	if a.doors != nil {
		a.told(log, "the rules of who may connect", a.doors.Reload())
		a.warnIgnored(log)
	}
}

func (access) told(log *zap.Logger, what string, err error) {
	if err == nil {
		log.Info("read again: " + what)
		return
	}
	for _, one := range flatten(err) {
		log.Error(one.Error())
	}
	log.Error(what + " were not changed, because of errors in the files")
}

// warnIgnored tells of rules that fit no replication connection, which is easily
// overlooked.
func (a access) warnIgnored(log *zap.Logger) {
	if a.doors == nil {
		return
	}
	if lines := a.doors.Ignored(); len(lines) > 0 {
		log.Warn("rules fit nobody: their database does not include replication, or nobody is in their group", zap.Ints("lines", lines))
	}
}
