package wire

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// readerConn is a connection that can be read only.
type readerConn struct {
	net.Conn
	io.Reader
	reads int
}

func (c *readerConn) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p)
}

// What was sent arrives, whatever is asked for at once, and also what was not read in bulk yet
// when that began. An error comes behind the last byte.
func TestBulkConn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := make([]byte, rapid.IntRange(0, 600_000).Draw(t, "sent"))
		for i := range sent {
			sent[i] = byte(i * 7)
		}
		below := &readerConn{Reader: io.Reader(bytes.NewReader(sent))}
		if rapid.Bool().Draw(t, "error with data") {
			below.Reader = iotest.DataErrReader(below.Reader)
		}
		c := &bulkConn{Conn: below}
		var got []byte
		for i := 0; ; i++ {
			c.bulk = c.bulk || i == 2
			p := make([]byte, rapid.OneOf(rapid.IntRange(1, 20_000), rapid.IntRange(bulkBytes-2, bulkBytes+2)).Draw(t, "read"))
			n, err := c.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes arrived of %d", len(got), len(sent))
		}
	})
}

// Eight records of TLS are one read.
func TestBulkConn_Reads(t *testing.T) {
	below := &readerConn{Reader: bytes.NewReader(make([]byte, bulkBytes))}
	c := &bulkConn{Conn: below, bulk: true}
	for range 8 {
		if _, err := io.ReadFull(c, make([]byte, bulkBytes/8)); err != nil {
			t.Fatal(err)
		}
	}
	if below.reads != 1 {
		t.Errorf("%d reads", below.reads)
	}
	if plain := (&bulkConn{Conn: below}); readInBulk(plain) != net.Conn(below) {
		t.Error("what is not under TLS has something between")
	}
}
