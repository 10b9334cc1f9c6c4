package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// connectError is err in one line as libpq words it, with the server's own error in
// it where it was the server that refused the last attempt. A server that was tried
// more than once, as with TLS and without, is named once.
func connectError(err error) error {
	list := attempts(err)
	var lines []string
	for _, attempt := range list {
		if line := attemptText(attempt); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	text := strings.Join(withoutFallbacks(lines), "; ")
	if refused, ok := errors.AsType[*pgconn.PgError](list[len(list)-1]); ok {
		wire := fromPgconn(refused)
		if before, ends := strings.CutSuffix(text, wire.Error()); ends {
			return fmt.Errorf("%s%w", before, wire)
		}
	}
	return &oneLine{text, err}
}

// attempts are the errors of the addresses that were tried, one at least.
func attempts(err error) []error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		joined, ok := inner.(interface{ Unwrap() []error })
		if !ok {
			continue
		}
		var list []error
		for _, one := range joined.Unwrap() {
			list = append(list, attempts(one)...)
		}
		return list
	}
	if failed, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return []error{errors.Unwrap(failed)}
	}
	return []error{err}
}

// attemptText is what went wrong with one address. pgconn's error for it begins with
// the address and the name in parentheses, and wraps what it was doing, which wraps
// the cause.
func attemptText(err error) string {
	if unknown, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("could not translate host name %q to address: %s", unknown.Name, unknown.Err)
	}
	inner := errors.Unwrap(err)
	if inner == nil {
		return "connection to server failed: " + line(err)
	}
	where, isAttempt := strings.CutSuffix(err.Error(), ": "+inner.Error())
	address, host, hasHost := strings.Cut(where, " (")
	if !isAttempt || !hasHost {
		return "connection to server failed: " + line(err)
	}
	return "connection to server " + serverText(address, strings.TrimSuffix(host, ")")) + " failed: " + attemptCause(inner)
}

// serverText names a server by its socket, or by its host and port.
func serverText(address, host string) string {
	if strings.HasPrefix(address, "/") || strings.HasPrefix(address, "@") {
		return fmt.Sprintf("on socket %q", address)
	}
	ip, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Sprintf("at %q", address)
	}
	if ip == host {
		return fmt.Sprintf("at %q, port %s", host, port)
	}
	return fmt.Sprintf("at %q (%s), port %s", host, ip, port)
}

func attemptCause(err error) string {
	refused, postgres := errors.AsType[*pgconn.PgError](err)
	errno, system := errors.AsType[syscall.Errno](err)
	switch {
	case postgres:
		return fromPgconn(refused).Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "server closed the connection unexpectedly"
	case system:
		return errno.Error()
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return "timeout expired"
	}
	return cmp.Or(settingText(err), line(err))
}

// line is the text of an error without its line breaks.
func line(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// oneLine is an error with another text.
type oneLine struct {
	text string
	err  error
}

func (e *oneLine) Error() string { return e.text }

func (e *oneLine) Unwrap() error { return e.err }
