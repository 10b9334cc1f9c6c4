package serverkit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

// conversation is what one case and the server say to each other, over any number of
// connections. After the first finding, or an excuse, nothing is said any more, and every
// answer is empty: a case needs no error handling.
type conversation struct {
	ctx     context.Context
	config  *pgconn.Config
	found   *rule.Finding
	excused *rule.Excuse
	conns   []net.Conn

	major    int        // of the PostgreSQL that the server names; 0 ahead of the first session
	places   places     // in the WAL, for commands that are played
	played   []exchange // what is held against PostgreSQL's answers
	archives []*archive // that are being read
}

// fail notes a finding, if it is the first.
func (t *conversation) fail(expected, format string, args ...any) {
	if !t.over() {
		t.found = rule.Found(expected, format, args...)
	}
}

// excuse ends a case that is about what the server need not have.
func (t *conversation) excuse(e rule.Excuse) {
	if !t.over() {
		t.excused = &e
	}
}

// over reports whether there is nothing more to say.
func (t *conversation) over() bool { return t.found != nil || t.excused != nil }

// want is fail unless a condition holds.
func (t *conversation) want(holds bool, expected, format string, args ...any) {
	if !holds {
		t.fail(expected, format, args...)
	}
}

func (t *conversation) hangUp() {
	for _, c := range t.conns {
		_ = c.Close() // it may be closed already
	}
	for _, a := range t.archives {
		a.end(io.ErrUnexpectedEOF)
	}
}

// peer is a session with the server.
type peer struct {
	*conversation
	conn       net.Conn
	frames     *wire.FrameReader
	parameters map[string]string
	pid        uint32
	secret     []byte
}

// busyFor is how long a server may take to notice that the sessions of the case before
// have ended.
const busyFor = 5 * time.Second

// session opens a session that is ready for a command.
func (t *conversation) session() *peer { return t.sessionFor("true") }

// sessionFor is session with a value for the parameter replication.
func (t *conversation) sessionFor(replication string) *peer {
	p := &peer{conversation: t}
	if t.over() {
		return p
	}
	config := t.config.Copy()
	if config.RuntimeParams == nil {
		config.RuntimeParams = map[string]string{}
	}
	config.RuntimeParams["replication"] = replication
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		return keepFiles(c), err
	}
	var in io.Reader // goes on where pgconn has read to: after a slow write a goroutine of pgconn's reads ahead
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		in = r
		return pgproto3.NewFrontend(r, w)
	}
	pg, err := pgconn.ConnectConfig(t.ctx, config)
	for until := time.Now().Add(busyFor); tooMany(err) && time.Now().Before(until); {
		time.Sleep(50 * time.Millisecond)
		pg, err = pgconn.ConnectConfig(t.ctx, config)
	}
	if err != nil {
		t.fail("a session with replication="+replication, "%v", err)
		return p
	}
	h, err := pg.Hijack()
	if err != nil {
		t.fail("a session that waits for a command", "%v", err)
		return p
	}
	p.take(h.Conn, in)
	p.parameters, p.pid, p.secret = h.ParameterStatuses, h.PID, h.SecretKey
	t.major = majorOf(p.parameters["server_version"])
	return p
}

func tooMany(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == protocol.CodeTooManyConnections
}

// take makes a connection, and what is to be read of it, the peer's.
func (p *peer) take(c net.Conn, in io.Reader) {
	deadline, _ := p.ctx.Deadline()
	_ = c.SetDeadline(deadline) // the next read fails
	p.conns = append(p.conns, c)
	p.conn, p.frames = c, wire.NewFrameReader(in, wire.MaxFrame)
}

// raw opens a connection and sends bytes over it: what comes before a session.
func (t *conversation) raw(packet []byte) *peer {
	p := &peer{conversation: t}
	if t.over() {
		return p
	}
	network, address := pgconn.NetworkAddress(t.config.Host, t.config.Port)
	c, err := t.config.DialFunc(t.ctx, network, address)
	if err != nil {
		t.fail("a connection", "%v", err)
		return p
	}
	p.take(c, c)
	p.send(packet)
	return p
}

func (p *peer) send(bytes []byte) {
	if p.over() {
		return
	}
	if _, err := p.conn.Write(bytes); err != nil {
		p.fail("a server that listens", "%v", err)
	}
}

// one reads a single byte, as the answer to a request for encryption is.
func (p *peer) one() byte {
	if p.over() {
		return 0
	}
	var b [1]byte
	if _, err := io.ReadFull(p.conn, b[:]); err != nil {
		p.fail("an answer of one byte", "%v", err)
	}
	return b[0]
}

// startup is a startup packet with these parameters, names and values in turn.
func startup(minor uint16, options []string, parameters ...string) []byte {
	m := wire.StartupMessage{Major: 3, Minor: minor, Options: options, Parameters: map[string]string{"user": "conformance"}}
	for i := 0; i+1 < len(parameters); i += 2 {
		m.Parameters[parameters[i]] = parameters[i+1]
	}
	return m.Encode(nil)
}

// message is a message of a client.
func message(kind byte, body string) []byte {
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	return append(head, body...)
}

// query is a Query message.
func query(text string) []byte { return message('Q', text+"\x00") }

// ask sends a command and reads its answer.
func (p *peer) ask(format string, args ...any) answer {
	command := fmt.Sprintf(format, args...)
	p.send(query(command))
	a := p.answer()
	a.command = command
	return a
}

// refused wants an error with the SQLSTATE for a command, after which the session goes on.
func (p *peer) refused(code, format string, args ...any) answer {
	a := p.ask(format, args...)
	p.want(a.code == code && a.ready, fmt.Sprintf("%s: %s, and ReadyForQuery", a.name(), code), "%s", a)
	return a
}

// done wants a command to succeed.
func (p *peer) done(format string, args ...any) answer {
	a := p.ask(format, args...)
	p.want(a.code == "" && a.ready && a.tag != "", a.name()+": CommandComplete", "%s", a)
	return a
}
