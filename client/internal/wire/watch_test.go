package wire

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
)

// A watch tells notices, and leaves a connection that can be used; of one that is closed it
// ends by itself.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		heard := 0
		c := NewConn(t.Context(), ours, func(*protocol.Error) { heard++ })
		w := c.Watch()
		theirs.Write(encode(t, &pgproto3.NoticeResponse{Severity: "NOTICE", Code: "00000", Message: "hello"}))
		if err := w.Stop(); err != nil || heard != 1 {
			t.Errorf("heard %d notices, error %v", heard, err)
		}
		go theirs.Write(encode(t, &pgproto3.ReadyForQuery{TxStatus: 'I'}))
		if kind, _, err := c.Next(); kind != 'Z' || err != nil {
			t.Errorf("after the watch: %q, %v", kind, err)
		}
		w = c.Watch()
		theirs.Close()
		<-w.Done
		if err := w.Stop(); !isLost(err) {
			t.Errorf("error is %v", err)
		}
		c.Abort()
	})
}

// A server that owes an answer is given the timeout, and more only where it has said what
// it waits for.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := NewConn(t.Context(), ours, func(*protocol.Error) {})
		c.tap.timeout = time.Minute
		end := c.AllowSilence()
		go func() {
			theirs.Write(encode(t, &pgproto3.NoticeResponse{Severity: "NOTICE", Code: "00000", Message: "waiting"}))
			time.Sleep(time.Hour)
			theirs.Write(encode(t, &pgproto3.ReadyForQuery{TxStatus: 'I'}))
		}()
		if _, _, err := c.Next(); err != nil {
			t.Errorf("where it has said that it waits: %v", err)
		}
		end()
		began := time.Now()
		if _, _, err := c.Next(); !isTimeout(err) || time.Since(began) != time.Minute {
			t.Errorf("after %v: error is %v", time.Since(began), err)
		}
		if err := c.Ask("x"); err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(); !isTimeout(err) { // nobody reads
			t.Errorf("error is %v", err)
		}
		c.Abort()
		theirs.Close()
	})
}

func isTimeout(err error) bool {
	_, late := errors.AsType[*TimeoutError](err)
	return late
}
