package peer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"

	"github.com/pgparallel/pgparallel/protocol/wire"
)

// writesConn keeps what is written, write by write, until it breaks.
type writesConn struct {
	net.Conn
	writes [][]byte
	broken error
}

func (c *writesConn) Write(p []byte) (int, error) {
	if c.broken != nil {
		return 0, c.broken
	}
	c.writes = append(c.writes, bytes.Clone(p))
	return len(p), nil
}

// What comes between gather and send goes out at once, in its order, and all else as it comes.
func TestRecordConn(t *testing.T) {
	below := &writesConn{}
	c := &recordConn{Conn: below}
	write := func(text string) {
		t.Helper()
		if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	write("hello")
	c.gather()
	write("one ")
	write("two")
	if err := c.send(); err != nil {
		t.Error(err)
	}
	write("alert")
	c.gather()
	long := string(make([]byte, 100<<10))
	write(long)
	write(long)
	if err := c.send(); err != nil {
		t.Error(err)
	}
	got := bytes.Join(below.writes, []byte("|"))
	if want := "hello|one two|alert|" + long + "|" + long; string(got) != want {
		t.Errorf("%d writes of %d bytes", len(below.writes), len(got))
	}
}

// Behind a write that failed nothing is written: the stream lacks a record.
func TestRecordConn_Broken(t *testing.T) {
	broken := errors.New("broken")
	below := &writesConn{broken: broken}
	c := &recordConn{Conn: below}
	c.gather()
	if _, err := c.Write([]byte("lost")); err != nil {
		t.Error(err)
	}
	if err := c.send(); err != broken {
		t.Errorf("send: %v", err)
	}
	below.broken = nil
	if _, err := c.Write([]byte("late")); err != broken {
		t.Errorf("write behind it: %v", err)
	}
	c.gather()
	_, _ = c.Write([]byte("late"))
	if err := c.send(); err != broken || len(below.writes) > 0 {
		t.Errorf("send behind it: %v, %q", err, below.writes)
	}
}

// countedConn counts its writes.
type countedConn struct {
	net.Conn
	writes int
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.writes++
	return c.Conn.Write(p)
}

// A frame is nine records and one write.
func TestSecured_OneWrite(t *testing.T) {
	here, there := net.Pipe()
	below := &countedConn{Conn: here}
	server := Secure(below, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	read := make(chan error, 1)
	go func() { // ends with the connection
		_, err := io.Copy(io.Discard, tls.Client(there, &tls.Config{InsecureSkipVerify: true}))
		read <- err
	}()
	frame := make([]byte, 5+wire.DefaultFrame)
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // crypto/tls begins with small records
		if _, err := server.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	before := below.writes
	if _, err := server.Write(frame); err != nil {
		t.Fatal(err)
	}
	if n := below.writes - before; n != 1 {
		t.Errorf("%d writes", n)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}

// certificate is one that nobody verifies.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
