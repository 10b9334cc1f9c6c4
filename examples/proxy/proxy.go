package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender"
)

// startupTime bounds what comes before a session, as authentication_timeout does.
const startupTime = time.Minute

// proxy gives each connection to the one that it is for, by its startup packet.
type proxy struct {
	server           *walsender.Server // for replication
	network, address string            // of PostgreSQL, for all else
}

// serve accepts connections until ctx ends, then ends them all.
func (p *proxy) serve(ctx context.Context, l net.Listener) error {
	var connections sync.WaitGroup
	defer connections.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	connections.Go(func() {
		<-ctx.Done()
		l.Close()
		_ = p.server.Shutdown(context.Background()) // a context that does not end
	})
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		connections.Go(func() { p.handle(ctx, conn.(duplex)) })
	}
}

// handle reads what a connection begins with and hands it on, with that.
func (p *proxy) handle(ctx context.Context, conn duplex) {
	defer conn.Close()
	packet, read, err := begin(ctx, conn)
	switch {
	case err != nil: // nobody is left to tell
	case isForPostgreSQL(packet):
		p.relay(ctx, conn, read)
	default:
		whole := &begun{duplex: conn, read: read}
		_ = p.server.ServeConn(context.Background(), whole) // ends at Shutdown at the latest
	}
}

// begin reads the startup packet and tells its bytes too. The packet is nil where it is
// malformed, which is the server's to say. The error says that the connection is gone.
func begin(ctx context.Context, conn duplex) (wire.StartupPacket, []byte, error) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })() // it is closed soon
	if err := conn.SetReadDeadline(time.Now().Add(startupTime)); err != nil {
		return nil, nil, err
	}
	for {
		var read bytes.Buffer
		packet, err := wire.ReadStartupPacket(io.TeeReader(conn, &read))
		switch packet.(type) {
		case wire.SSLRequest, wire.GSSENCRequest:
			if _, err := conn.Write([]byte("N")); err != nil { // no encryption here
				return nil, nil, err
			}
			continue
		}
		if _, malformed := errors.AsType[*protocol.Error](err); err != nil && !malformed {
			return nil, nil, err
		}
		return packet, read.Bytes(), conn.SetReadDeadline(time.Time{})
	}
}

// isForPostgreSQL reports whether PostgreSQL is to answer the packet. What is wrong in one
// the server says.
func isForPostgreSQL(packet wire.StartupPacket) bool {
	switch p := packet.(type) {
	case wire.StartupMessage:
		_, err := p.Replication()
		return protocol.HasCode(err, protocol.CodeFeatureNotSupported) // an ordinary session
	case wire.CancelRequest:
		return p.ProcessID <= 1<<22 // the server's own are larger (§1.3)
	}
	return false
}

// relay connects to PostgreSQL and passes bytes on, in both directions, until either end
// has no more. What was read already goes first.
func (p *proxy) relay(ctx context.Context, conn duplex, read []byte) {
	dialed, err := new(net.Dialer).DialContext(ctx, p.network, p.address)
	if err != nil {
		refuse(conn, protocol.Fatalf(protocol.CodeConnectionFailure, "the proxy could not connect to PostgreSQL"))
		return
	}
	defer dialed.Close()
	postgres := dialed.(duplex)
	defer context.AfterFunc(ctx, func() {
		conn.Close()
		postgres.Close()
	})()
	if _, err := postgres.Write(read); err != nil {
		return
	}
	var upward sync.WaitGroup
	defer upward.Wait()
	upward.Go(func() { // ends when the client's end does, or a second after PostgreSQL's
		_, _ = io.Copy(postgres, conn)
		_ = postgres.CloseWrite()
	})
	_, _ = io.Copy(conn, postgres)
	_ = conn.CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
}

// refuse tells the client why there is no session.
func refuse(conn net.Conn, why *protocol.Error) {
	if message, err := wire.ErrorResponse(why).Encode(nil); err == nil {
		_, _ = conn.Write(message) // it is closed all the same
	}
}

// duplex is a TCP or Unix connection: one that can be closed in one direction, and whose
// descriptor tells the server that the client is gone.
type duplex interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// begun is a connection of which something was read already, and is read again first.
type begun struct {
	duplex
	mu   sync.Mutex // anybody may read from a net.Conn, at any time
	read []byte
}

func (b *begun) Read(p []byte) (int, error) {
	b.mu.Lock()
	n := copy(p, b.read)
	b.read = b.read[n:]
	b.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	return b.duplex.Read(p)
}
