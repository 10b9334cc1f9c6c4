package walsender_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// from is a connection from an address.
type from struct {
	net.Conn
	ip string
}

func (c from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.ip), Port: 999} }

// pipedFrom runs a session from an address over a pipe.
func pipedFrom(t *testing.T, server *walsender.Server, ip string) *rawClient {
	ours, theirs := net.Pipe()
	go func() { _ = server.ServeConn(context.Background(), from{theirs, ip}) }() // ends with the connection or the server
	c := newRawClient(t, ours)
	ours.SetDeadline(time.Time{})
	return c
}

// took is how long something takes.
func took(do func()) time.Duration {
	start := time.Now()
	do()
	return time.Since(start)
}

// TestGuesses_1_10 tries passwords, each over a connection of its own.
func TestGuesses_1_10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &walsender.Server{Cluster: newMemCluster(), Authenticator: authFunc(func(h *walsender.Handshake) (walsender.Grant, error) {
			if h.Database == "right" {
				return walsender.Everything(), nil
			}
			return walsender.Grant{}, protocol.Fatalf(protocol.CodeInvalidPassword, "password authentication failed for user %q", h.User)
		})}
		try := func(ip, user, password string) time.Duration {
			return took(func() {
				c := pipedFrom(t, server, ip)
				c.startup(map[string]string{"user": user, "replication": "true", "database": password})
				c.Conn.Close()
			})
		}
		const second = time.Second
		for i, want := range []time.Duration{second / 2, second, 2 * second, 4 * second, 8 * second, 8 * second, 8 * second} {
			// Some of the wait has been forgotten when the next try comes.
			if got := try("192.0.2.1", fmt.Sprint("user", i), "wrong"); got > want || got < want/2 {
				t.Errorf("try %d of an address is answered after %v, want %v", i+1, got, want)
			}
		}
		if got := try("192.0.2.1", "backup", "right"); got > second/10 {
			t.Errorf("the right password is answered after %v", got)
		}
		if got := try("192.0.2.2", "another", "wrong"); got != second/2 {
			t.Errorf("another address and role are answered after %v", got)
		}
		for i := range 6 {
			try(fmt.Sprintf("192.0.2.%d", 10+i), "backup", "wrong")
		}
		if got := try("192.0.2.99", "backup", "wrong"); got < 4*second {
			t.Errorf("a role that many addresses try is answered after %v", got)
		}
		if got := try("2001:db8::1", "six", "wrong"); got != second/2 {
			t.Errorf("the first try of a network is answered after %v", got)
		}
		if got := try("2001:db8::2", "seven", "wrong"); got != second {
			t.Errorf("the second try of a network is answered after %v", got)
		}
		time.Sleep(5 * time.Minute)
		if got := try("192.0.2.1", "backup", "wrong"); got != second/2 {
			t.Errorf("after five minutes a try is answered after %v", got)
		}
		server.Close()
	})
}

// TestGuesses_4_2 tries ids over many sessions.
func TestGuesses_4_2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &walsender.Server{Cluster: newMemCluster()}
		leader := pipedFrom(t, server, "127.0.0.1")
		leader.startup(backupParameters)
		id := value(t, leader.query("START_BACKUP"), 3)
		tries, before := 0, time.Now()
		var last time.Duration
		for range 10 {
			c := pipedFrom(t, server, "127.0.0.1")
			c.startup(backupParameters)
			for range 5 {
				last = took(func() { c.query(fmt.Sprintf("JOIN_BACKUP '%032x'", tries)) })
				if tries++; tries <= 5 && last > 0 {
					t.Errorf("try %d is answered after %v: a mistake is allowed", tries, last)
				}
			}
			c.Conn.Close()
		}
		t.Logf("%d wrong ids over 10 sessions took %v, the last %v", tries, time.Since(before).Round(time.Second), last)
		if last != 2*time.Second {
			t.Errorf("the last of %d is answered after %v", tries, last)
		}
		right := pipedFrom(t, server, "127.0.0.1")
		right.startup(backupParameters)
		if got := took(func() { wantAnswer(t, right.query("JOIN_BACKUP '"+id+"'"), "CommandComplete JOIN_BACKUP", ready) }); got > 0 {
			t.Errorf("the right id is answered after %v", got)
		}
		server.Close()
	})
}
