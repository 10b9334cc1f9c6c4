package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/protocol"
)

// dialer opens the connections of a backup. The first tries whatever the
// configuration offers; the others do what succeeded there.
type dialer struct {
	config   *pgconn.Config
	notice   protocol.NoticeFunc
	patience time.Duration // see [Options.Timeout]
	// where the leader's connection was made to: an address, not a host name
	// that may stand for several servers
	network, address string
}

func newDialer(config *pgconn.Config, patience time.Duration, notice protocol.NoticeFunc) *dialer {
	d := &dialer{config: config.Copy(), notice: notice, patience: patience}
	if d.config.ConnectTimeout == 0 {
		d.config.ConnectTimeout = patience
	}
	if d.config.RuntimeParams == nil {
		d.config.RuntimeParams = map[string]string{}
	}
	d.config.RuntimeParams["replication"] = "true"
	if d.config.RuntimeParams["application_name"] == "" {
		d.config.RuntimeParams["application_name"] = "pgparallel"
	}
	d.config.MaxProtocolMessageBodyLen = maxMessage
	d.config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notice(fromPgconn((*pgconn.PgError)(n))) }
	return d
}

// leader opens the first connection, which lives no longer than ctx.
func (d *dialer) leader(ctx context.Context) (*conn, error) {
	config := d.config.Copy()
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err == nil {
			d.network, d.address = network, address
			err = keepAlive(c)
		}
		return c, err
	}
	c, tlsConfig, err := d.connect(ctx, ctx, config)
	if err != nil {
		return nil, err
	}
	d.pin(tlsConfig)
	return c, nil
}

// pin makes further connections go where the leader's went, with TLS or without
// it as there, and none of them be tried twice.
func (d *dialer) pin(tlsConfig *tls.Config) {
	dial := d.config.DialFunc
	d.config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := dial(ctx, d.network, d.address)
		if err == nil {
			err = keepAlive(c)
		}
		return c, err
	}
	d.config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	if host, port, err := net.SplitHostPort(d.address); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			d.config.Host, d.config.Port = host, uint16(n) // for the messages
		}
	}
	d.config.TLSConfig = tlsConfig
	d.config.Fallbacks = nil
	d.config.ValidateConnect = nil
}

// worker opens a further connection, which lives no longer than life; ctx is for
// the attempt. It may be called by several goroutines.
func (d *dialer) worker(ctx, life context.Context) (*conn, error) {
	c, _, err := d.connect(ctx, life, d.config.Copy())
	return c, err
}

// keepAlive makes the system notice that a server is gone which says nothing for
// long, as one does that is idle or throttled (§7.2).
func keepAlive(c net.Conn) error {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	err := tcp.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3,
	})
	if err != nil {
		c.Close()
		return fmt.Errorf("could not set TCP keepalives: %w", err)
	}
	return nil
}

func (d *dialer) connect(ctx, life context.Context, config *pgconn.Config) (*conn, *tls.Config, error) {
	pg, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, nil, connectError(err)
	}
	if err := settle(ctx, pg); err != nil {
		pg.Close(ctx)
		return nil, nil, connectError(err)
	}
	h, err := pg.Hijack()
	if err != nil {
		return nil, nil, connectError(err)
	}
	c := newConn(life, h.Conn, h.ParameterStatuses, d.notice)
	c.pid, c.tap.patience = h.PID, d.patience
	return c, h.TLSConfig, nil
}

// settle makes sure that nobody reads the connection but us: where a write took
// long, pgconn has a goroutine that reads until something comes. What SyncConn asks
// then, to have it come, is an error to a server of replication; it does all the same.
func settle(ctx context.Context, pg *pgconn.PgConn) error {
	for range 10 {
		err := pg.SyncConn(ctx)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || pg.IsClosed() {
			return err
		}
	}
	return errors.New("the connection does not come to rest")
}

func fromPgconn(e *pgconn.PgError) *protocol.Error {
	severity := e.SeverityUnlocalized
	if severity == "" {
		severity = e.Severity
	}
	return &protocol.Error{
		Severity: severity, Code: e.Code, Message: e.Message, Detail: e.Detail, Hint: e.Hint, Position: int(e.Position),
	}
}
