package walsendertest_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// countingConn counts the bytes that are read.
type countingConn struct {
	net.Conn
	read int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read += int64(n)
	return n, err
}

func TestMemConn_Transfer(t *testing.T) {
	client, server := walsendertest.MemPipe()
	sent := make([]byte, 3<<20)
	rand.Read(sent)
	go func() {
		client.Write(sent)
		client.Close()
	}()
	got, err := io.ReadAll(server)
	must(t, err)
	if !bytes.Equal(sent, got) {
		t.Errorf("%d bytes came out otherwise than they went in", len(got))
	}
	if _, err := server.Write([]byte("x")); err == nil {
		t.Error("the other end is closed and takes bytes")
	}
	server.Close()
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading at a closed end: %v", err)
	}
}

// Each direction ends by itself, and what was written before can be read.
func TestMemConn_HalfClose(t *testing.T) {
	client, server := walsendertest.MemPipe()
	_, err := client.Write([]byte("question"))
	must(t, err)
	must(t, client.(interface{ CloseWrite() error }).CloseWrite())
	question, err := io.ReadAll(server)
	must(t, err)
	_, err = server.Write([]byte("answer"))
	must(t, err)
	server.Close()
	answer, err := io.ReadAll(client)
	must(t, err)
	if string(question) != "question" || string(answer) != "answer" {
		t.Errorf("%q, %q", question, answer)
	}
}

// Deadlines end reads and writes that wait, on the bubble's clock, and can be taken back.
func TestMemConn_Deadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := walsendertest.MemPipe()
		defer client.Close()
		defer server.Close()
		for name, op := range map[string]func() (int, error){
			"read":  func() (int, error) { return client.Read(make([]byte, 1)) },
			"write": func() (int, error) { return client.Write(make([]byte, 1<<20)) },
		} {
			began := time.Now()
			must(t, client.SetDeadline(began.Add(time.Hour)))
			_, err := op()
			if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != time.Hour {
				t.Errorf("%s: %v after %v", name, err, took)
			}
			if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
				t.Errorf("%s: %v is no timeout", name, err)
			}
		}
		must(t, client.SetDeadline(time.Time{}))
		go server.Write([]byte("x"))
		if _, err := client.Read(make([]byte, 1)); err != nil {
			t.Errorf("after the deadline was taken back: %v", err)
		}
	})
}
