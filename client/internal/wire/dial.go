package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/conninfo"
)

// Config says where and as whom to connect.
type Config struct {
	Info       *conninfo.Info      // as libpq does
	ConnConfig *pgconn.Config      // in place of Info where it is not nil
	Timeout    time.Duration       // how long a server that owes an answer may be silent; 0: as long as it likes
	Notice     protocol.NoticeFunc // is told of each notice, by the goroutine that reads the connection; of equal ones while connections are made, once
}

// Dialer opens the connections of a backup. The first tries whatever the
// configurations offer; the others do what succeeded there.
type Dialer struct {
	configs []*pgconn.Config
	config  *pgconn.Config // the one that the leader connected with
	notice  protocol.NoticeFunc
	timeout time.Duration // see [Config]

	mu   sync.Mutex
	told map[protocol.Error]bool // notices of connecting that were passed on
}

// NewDialer works on copies of the configurations that c has.
func NewDialer(c Config) (*Dialer, error) {
	d := &Dialer{notice: c.Notice, timeout: c.Timeout, told: map[protocol.Error]bool{}}
	if c.ConnConfig != nil {
		config := c.ConnConfig.Copy()
		config.DialFunc = keptAlive(config.DialFunc)
		d.configs = []*pgconn.Config{config}
	} else {
		var err error
		if d.configs, err = c.Info.Configs(); err != nil {
			return nil, err
		}
	}
	for _, config := range d.configs {
		d.prepare(config)
	}
	return d, nil
}

// prepare makes a connection one of a backup.
func (d *Dialer) prepare(config *pgconn.Config) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = d.timeout
	}
	if config.RuntimeParams == nil {
		config.RuntimeParams = map[string]string{}
	}
	config.RuntimeParams["replication"] = "true"
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "pgparallel"
	}
	config.MaxProtocolMessageBodyLen = maxMessage
	config.DialFunc = bulkReading(config.DialFunc)
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { d.tellOnce(fromPgconn((*pgconn.PgError)(n))) }
}

// maxTold bounds the notices that are remembered.
const maxTold = 100

// tellOnce passes on what a server says while a connection is made, unless it has said the
// same to another one: every connection has the same settings.
func (d *Dialer) tellOnce(n *protocol.Error) {
	d.mu.Lock()
	told := d.told[*n]
	if len(d.told) < maxTold {
		d.told[*n] = true
	}
	d.mu.Unlock()
	if !told {
		d.notice(n)
	}
}

// First opens the first connection, which lives no longer than ctx.
func (d *Dialer) First(ctx context.Context) (*Conn, error) {
	// Where the connection was made to is an address, not a host name that may
	// stand for several servers.
	var network, address string
	configs := make([]*pgconn.Config, len(d.configs))
	for i, config := range d.configs {
		configs[i] = config.Copy()
		configs[i].DialFunc = func(ctx context.Context, n, a string) (net.Conn, error) {
			network, address = n, a
			return config.DialFunc(ctx, n, a)
		}
	}
	c, config, tlsConfig, err := d.connect(ctx, ctx, configs)
	if err != nil {
		return nil, err
	}
	d.config = d.configs[slices.Index(configs, config)]
	d.pin(network, address, tlsConfig)
	return c, nil
}

// pin makes further connections go where the leader's went, with TLS or without
// it as there, and none of them be tried twice.
func (d *Dialer) pin(network, address string, tlsConfig *tls.Config) {
	dial := d.config.DialFunc
	d.config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, network, address) }
	d.config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	if host, port, err := net.SplitHostPort(address); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			d.config.Host, d.config.Port = host, uint16(n) // for the messages
		}
	}
	d.config.TLSConfig = tlsConfig
	d.config.Fallbacks = nil
	d.config.ValidateConnect = nil
}

// Another opens a further connection to where the first one was made. The connection
// lives no longer than sessionCtx; ctx is for the attempt. It may be called by several
// goroutines, after First has returned.
func (d *Dialer) Another(ctx, sessionCtx context.Context) (*Conn, error) {
	c, _, _, err := d.connect(ctx, sessionCtx, []*pgconn.Config{d.config.Copy()})
	return c, err
}

// keptAlive makes the system notice that a server is gone which says nothing for
// long, as one does that is idle or throttled (§7.2).
func keptAlive(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err == nil {
			err = keepAlive(c)
		}
		return c, err
	}
}

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

func (d *Dialer) connect(ctx, sessionCtx context.Context, configs []*pgconn.Config) (*Conn, *pgconn.Config, *tls.Config, error) {
	pg, config, err := conninfo.Connect(ctx, configs)
	if err != nil {
		return nil, nil, nil, connectError(err)
	}
	if err := quiesce(ctx, pg); err != nil {
		pg.Close(ctx)
		return nil, nil, nil, connectError(err)
	}
	h, err := pg.Hijack()
	if err != nil {
		return nil, nil, nil, connectError(err)
	}
	c := NewConn(sessionCtx, readInBulk(h.Conn), d.notice)
	c.Parameters, c.PID, c.tap.timeout = h.ParameterStatuses, h.PID, d.timeout
	return c, config, h.TLSConfig, nil
}

// quiesce makes sure that nobody reads the connection but us: where a write took
// long, pgconn has a goroutine that reads until something comes. What has it come is an
// empty query: the comment that pgconn would send is an error to a server of replication,
// in the log of a PostgreSQL that it is passed on to.
func quiesce(ctx context.Context, pg *pgconn.PgConn) error {
	look, end := context.WithCancel(ctx)
	end() // so that SyncConn does not ask
	for range 10 {
		if pg.SyncConn(look) == nil {
			return nil
		}
		err := pg.Exec(ctx, "").Close()
		_, refused := errors.AsType[*pgconn.PgError](err)
		if err != nil && (!refused || pg.IsClosed()) {
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
