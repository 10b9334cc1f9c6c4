package livecluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/conninfo"
	"github.com/pgparallel/pgparallel/walsender"
)

// passThrough is how the cluster's own walsender is reached.
type passThrough struct {
	configs   []*pgconn.Config // see resolve
	address   string           // what was connected to, see conninfo.Address; empty: nothing was yet
	role      string
	superuser string // the one that is allowed; empty: none
}

// passedParameters are the parameters of a client's startup packet that the connection
// to PostgreSQL gets too, those among them that its options set (§1.4). Any other could
// change a setting that the role of the pass-through may change.
var passedParameters = []string{"application_name", "DateStyle", "TimeZone", "wal_sender_timeout"}

// setPassThrough makes sure that commands can be passed through. Without a connection
// string of its own the pass-through is optional: a refusal by PostgreSQL goes to the
// log then, and nothing is passed through.
func (c *Cluster) setPassThrough(ctx context.Context, config Config, found server) error {
	flag, connString := "--passthrough", config.PassThrough
	if connString == "" {
		flag, connString = "--cluster", config.ConnString
	}
	configs, err := resolve(flag, connString, true, c.log)
	if err != nil {
		return err
	}
	if c.authServers = configs; config.AuthPassThrough {
		if err := checkAuthPassThrough(flag, configs); err != nil {
			return err
		}
	}
	pass := &passThrough{configs: configs, role: configs[0].User, superuser: config.PassThroughSuperuser}
	if config.PassThrough == "" && !found.replicates { // nothing is tried: it would be a FATAL in PostgreSQL's log
		c.log.Info("no commands are passed through to the cluster: the role lacks REPLICATION",
			zap.String("role", pass.role), zap.String("hint", replicationHint(pass.role)))
		return nil
	}
	conn, used, err := c.dialWALSender(ctx, pass, nil)
	if err == nil {
		conn.Close()
		pass.address = conninfo.Address(used.Host, used.Port)
		c.pass = pass
		return nil
	}
	hint := connectHint(err, configs[0], "replication")
	if isCode(err, protocol.CodeTooManyConnections) && found.senders == 0 {
		hint = "max_wal_senders is 0: raise it and restart PostgreSQL"
	}
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if config.PassThrough != "" || !ok {
		return hinted(fmt.Errorf("pass-through: %w", err), hint)
	}
	c.log.Info("no commands are passed through to the cluster: "+refused.Message,
		zap.String("role", pass.role), zap.String("sqlstate", refused.Code), zap.String("hint", hint))
	if found.senders > 0 && !lasts(refused.Code) {
		c.pass = pass
	}
	return nil
}

// lasts reports whether a refusal with the SQLSTATE lasts until somebody changes a role
// or the configuration.
func lasts(code string) bool {
	return strings.HasPrefix(code, "28") || code == protocol.CodeInsufficientPrivilege || code == protocol.CodeFeatureNotSupported
}

// DialWALSender opens a replication connection to the cluster's own walsender: always
// replication=true, which runs no SQL. It is errors.ErrUnsupported where nothing is
// passed through.
func (c *Cluster) DialWALSender(ctx context.Context, parameters map[string]string) (*walsender.WALSenderConn, error) {
	if c.pass == nil {
		return nil, errors.ErrUnsupported
	}
	conn, _, err := c.dialWALSender(ctx, c.pass, parameters)
	return conn, c.answer(ctx, err)
}

// WALAccess tells whether WAL can be streamed (§1.5).
func (c *Cluster) WALAccess() protocol.WALAccess {
	if c.pass == nil {
		return protocol.WALTransient
	}
	return protocol.WALStreamed
}

// PrimaryConnInfo tells where the server is to which commands are passed through; empty
// where none are (§5.15).
func (c *Cluster) PrimaryConnInfo() string {
	if c.pass == nil {
		return ""
	}
	return c.pass.address
}

// dialWALSender also returns the configuration that it connected with.
func (c *Cluster) dialWALSender(ctx context.Context, pass *passThrough, parameters map[string]string) (*walsender.WALSenderConn, *pgconn.Config, error) {
	var in io.Reader
	conn, used, err := connect(ctx, pass.configs, func(config *pgconn.Config) {
		for name, value := range parameters {
			for _, passed := range passedParameters {
				if strings.EqualFold(name, passed) {
					config.RuntimeParams[passed] = value
				}
			}
		}
		// The connection waits for the client's next command, hours in a long backup.
		if c.Major() >= 14 { // older ones do not know the parameter, nor the time-out
			config.RuntimeParams["idle_session_timeout"] = "0"
		}
		config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
			in = r
			return pgproto3.NewFrontend(&messageReader{r: r}, w)
		}
	})
	if err != nil {
		return nil, nil, err
	}
	if err := pass.check(ctx, conn, c); err != nil {
		conn.Close(ctx)
		return nil, nil, err
	}
	hijacked, err := conn.Hijack()
	if err != nil {
		conn.Close(ctx)
		return nil, nil, fmt.Errorf("could not take over the replication connection: %w", err)
	}
	return &walsender.WALSenderConn{Conn: takenOver{hijacked.Conn, in}, Cancel: conn.CancelRequest}, used, nil
}

// check makes sure that the connection is one to this cluster, and that nobody gets a
// superuser's rights by it.
func (p *passThrough) check(ctx context.Context, conn *pgconn.PgConn, c *Cluster) error {
	if conn.ParameterStatus("is_superuser") != "off" && (p.superuser == "" || p.role != p.superuser) {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the role %q of the pass-through is a superuser", p.role).
			WithHint("Name a role that only has REPLICATION with --passthrough, or allow this one with --passthrough-superuser=%s.", p.role)
	}
	results, err := conn.Exec(ctx, "IDENTIFY_SYSTEM").ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || string(results[0].Rows[0][0]) != strconv.FormatUint(c.SystemID(), 10) {
		return passesElsewhere()
	}
	return c.proveProcess(ctx, conn.Conn(), conn.PID(), p.role)
}

// proveProcess makes sure that the process at the other end of the connection, which is a
// session of the role, is one of the server that runs on the data directory, and not of a
// copy: the postmaster itself is at the other end of the Unix socket, or the server knows
// the process as one of its own.
func (c *Cluster) proveProcess(ctx context.Context, conn net.Conn, process uint32, role string) error {
	known, err := c.known()
	if err != nil {
		return err
	}
	// The first process of a container says nothing: each container has one.
	if pid := peerPID(conn); pid > 1 && pid == known.postmaster.pid {
		return nil
	}
	s, _, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	// What every role may see of every session.
	row, err := s.row(ctx, fmt.Sprintf("SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND usename = %s",
		process, literal(role)))
	if err != nil {
		return err
	}
	if row[0] != "1" {
		return passesElsewhere()
	}
	return nil
}

func passesElsewhere() error {
	return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the pass-through leads to another cluster, or to a copy of this one").
		WithHint("Give --passthrough the connection string of the server that runs on this data directory.")
}

// takenOver is a connection whose reader may have read ahead.
type takenOver struct {
	net.Conn
	in io.Reader
}

func (c takenOver) Read(p []byte) (int, error) { return c.in.Read(p) }

// messageReader reads messages and never a byte beyond the one that it is in: what
// follows is left for whoever takes the connection over.
type messageReader struct {
	r      io.Reader
	header []byte // of the message that begins, as far as it is known
	left   int    // bytes of the message's body that have not been read
}

const headerLength = 5

func (m *messageReader) Read(p []byte) (int, error) {
	if m.left > 0 {
		n, err := m.r.Read(p[:min(len(p), m.left)])
		m.left -= n
		return n, err
	}
	n, err := m.r.Read(p[:min(len(p), headerLength-len(m.header))])
	m.header = append(m.header, p[:n]...)
	if len(m.header) == headerLength {
		h := m.header
		m.left = max(0, int(h[1])<<24|int(h[2])<<16|int(h[3])<<8|int(h[4])-4)
		m.header = h[:0]
	}
	return n, err
}
