package walsendertest

import (
	"errors"
	"io"
	"net"
	"time"
)

// memConn is one end of a connection in memory. Unlike those of net.Pipe it is
// buffered, as a socket is, and each direction ends by itself: a TLS handshake and
// pipelined commands need that.
type memConn struct {
	in, out *stream
	local   memAddr
	remote  memAddr
}

// memPipe is a connection, of which the first end is the client's.
func memPipe() (client, server *memConn) {
	up, down := newStream(), newStream()
	client = &memConn{in: down, out: up, local: "client", remote: "server"}
	server = &memConn{in: up, out: down, local: "server", remote: "client"}
	return client, server
}

func (c *memConn) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	return n, c.opError("read", err)
}

func (c *memConn) Write(p []byte) (int, error) {
	n, err := c.out.Write(p)
	return n, c.opError("write", err)
}

// opError wraps an error as package net does; io.EOF stays as it is.
func (c *memConn) opError(op string, err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return err
	case errors.Is(err, errClosed):
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// Close closes both directions. The other end can still read what was written.
func (c *memConn) Close() error {
	c.out.closeWrite()
	c.in.closeRead()
	for _, stop := range []func(time.Time) error{c.SetReadDeadline, c.SetWriteDeadline} {
		_ = stop(time.Time{}) // never fails
	}
	return nil
}

// CloseWrite closes the direction that is written.
func (c *memConn) CloseWrite() error {
	c.out.closeWrite()
	return nil
}

// reset closes the connection as a TCP reset does.
func (c *memConn) reset() {
	c.out.reset()
	c.in.reset()
}

func (c *memConn) LocalAddr() net.Addr { return c.local }

func (c *memConn) RemoteAddr() net.Addr { return c.remote }

func (c *memConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.read, t)
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.write, t)
	return nil
}

// memAddr is the address of an end.
type memAddr string

func (memAddr) Network() string { return "memory" }

func (a memAddr) String() string { return string(a) }
