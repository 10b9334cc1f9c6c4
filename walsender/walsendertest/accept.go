package walsendertest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender"
)

// accept gives each connection a goroutine, until the listener is closed.
func (s *Server) accept() {
	defer s.running.Done()
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.running.Add(1)
		go func() {
			defer s.running.Done()
			defer conn.Close()
			s.connection(conn)
		}()
	}
}

// connection reads the startup, TLS included: a session can only look into what is not
// encrypted.
func (s *Server) connection(raw net.Conn) {
	_ = raw.SetReadDeadline(time.Now().Add(walsender.DefaultAuthTimeout)) // the read fails
	stop := context.AfterFunc(s.ctx, func() { raw.Close() })
	start, err := s.startup(raw)
	stop()
	if err != nil {
		return // nobody there, or no TLS
	}
	_ = raw.SetReadDeadline(time.Time{}) // the next read fails
	parameters := map[string]string{}
	switch p := start.packet.(type) {
	case wire.CancelRequest:
		s.cancel(start.bytes)
		return
	case wire.StartupMessage:
		parameters = p.Parameters
	}
	w := s.begin(start.conn, raw)
	defer s.end(w)
	s.record.began(w, parameters)
	w.run(start.bytes)
}

// startup is how a connection begins, after all that is about encryption.
type startup struct {
	conn   net.Conn           // above TLS
	packet wire.StartupPacket // nil: not well formed
	bytes  []byte             // the packet as it came, which is what the server gets
}

func (s *Server) startup(raw net.Conn) (startup, error) {
	conn, err := s.directTLS(raw)
	for err == nil {
		var read bytes.Buffer
		var packet wire.StartupPacket
		packet, err = wire.ReadStartupPacket(io.TeeReader(conn, &read))
		if _, malformed := errors.AsType[*protocol.Error](err); malformed {
			return startup{conn, nil, read.Bytes()}, nil
		}
		plain, _ := conn.(bufferedConn)
		switch packet.(type) {
		case nil:
		case wire.SSLRequest:
			if plain.stuffed() {
				return startup{}, errStuffed
			}
			conn, err = s.answerSSLRequest(conn)
		case wire.GSSENCRequest:
			if plain.stuffed() {
				return startup{}, errStuffed
			}
			_, err = conn.Write([]byte("N"))
		default:
			return startup{conn, packet, read.Bytes()}, nil
		}
	}
	return startup{}, err
}

// directTLS looks for a handshake that begins without an SSLRequest (§1.2).
func (s *Server) directTLS(raw net.Conn) (net.Conn, error) {
	conn := bufferedConn{raw, bufio.NewReader(raw)}
	first, err := conn.in.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] != 0x16 || s.certificate == nil {
		return conn, nil
	}
	encrypted := tls.Server(conn, s.certificate.server)
	if err := encrypted.Handshake(); err != nil {
		return nil, err
	}
	if encrypted.ConnectionState().NegotiatedProtocol != "postgresql" {
		return nil, errors.New("direct TLS connection without ALPN protocol negotiation")
	}
	return encrypted, nil
}

func (s *Server) answerSSLRequest(conn net.Conn) (net.Conn, error) {
	if _, encrypted := conn.(*tls.Conn); encrypted || s.certificate == nil {
		_, err := conn.Write([]byte("N"))
		return conn, err
	}
	if _, err := conn.Write([]byte("S")); err != nil {
		return nil, err
	}
	return tls.Server(conn, s.certificate.server), nil
}

// cancel hands a CancelRequest to the server, whose answer is a close.
func (s *Server) cancel(packet []byte) {
	inner, server := memPipe()
	_, _ = inner.Write(packet)                           // it fits
	_ = s.Config.ServeConn(context.Background(), server) // there is nobody to tell
	_ = inner.Close()                                    // never fails
}

// errStuffed ends a connection with bytes behind a request for encryption (§1.2).
var errStuffed = errors.New("received unencrypted data after an encryption request")

// bufferedConn is a connection that is not encrypted. What was read of it and not used
// is in the buffer.
type bufferedConn struct {
	net.Conn
	in *bufio.Reader
}

func (c bufferedConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// stuffed reports whether bytes came along with the packet that was read last. The zero
// value stands for an encrypted connection, where nobody can have put them.
func (c bufferedConn) stuffed() bool { return c.in != nil && c.in.Buffered() > 0 }

// CloseWrite closes the writing side.
func (c bufferedConn) CloseWrite() error {
	closeWrite(c.Conn)
	return nil
}
