package main

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestListen listens on several addresses at once, of both kinds, and tells them in
// PostgreSQL's words.
func TestListen(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("needs IPv6: %v", err)
	} else {
		l.Close()
	}
	dir, err := os.MkdirTemp("/tmp", "pgp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listeners, err := listen(dir, 5433, accessOptions{HBA: "hba.conf", SocketMode: 0o600, Listen: []string{"127.0.0.1:0", "[::1]:0", "*:0", "[::]:0", "0.0.0.0:0"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range listeners {
		words, _, _ := strings.Cut(described(l), ", port")
		got = append(got, words)
		l.Close()
	}
	want := []string{`Unix socket "` + dir + `/.s.PGSQL.5433"`, `IPv4 address "127.0.0.1"`, `IPv6 address "::1"`, `all addresses (IPv4 and IPv6)`, `IPv6 address "::"`, `IPv4 address "0.0.0.0"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

// TestListen_Fails leaves nothing open where one of the addresses cannot be had.
func TestListen_Fails(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "pgp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if _, err := listen(dir, 5433, accessOptions{HBA: "hba.conf", SocketMode: 0o600, Listen: []string{"127.0.0.1:0", "198.51.100.1:1"}}); err == nil {
		t.Fatal("it listens on an address of another machine")
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
