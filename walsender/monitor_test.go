package walsender_test

import (
	"context"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// unfit is a cluster that can be served, and of which no backup can be taken.
type unfit struct{ *memCluster }

func (unfit) CheckBackup(context.Context) error {
	return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the cluster is being restored")
}

func TestServer_Ready(t *testing.T) {
	for _, test := range []struct {
		cluster walsender.Cluster
		code    string
	}{
		{newMemCluster(), ""},
		{down{newMemCluster()}, protocol.CodeCannotConnectNow},
		{unfit{newMemCluster()}, protocol.CodeObjectNotInPrerequisite},
	} {
		server := &walsender.Server{Cluster: test.cluster}
		if err := server.Ready(t.Context()); (err != nil || test.code != "") && !protocol.HasCode(err, test.code) {
			t.Errorf("%T is ready: %v, want %q", test.cluster, err, test.code)
		}
		server.Close()
		if err := server.Ready(t.Context()); !protocol.HasCode(err, protocol.CodeCannotConnectNow) {
			t.Errorf("a server that is closed is ready: %v", err)
		}
	}
}

func TestServer_Sessions(t *testing.T) {
	ended := make(chan walsender.SessionEnd, 1)
	server := &walsender.Server{Cluster: newMemCluster(), SessionEnded: func(e walsender.SessionEnd) { ended <- e }}
	addr := serve(t, server)
	if n := server.Sessions(); n != 0 {
		t.Errorf("%d sessions at first", n)
	}
	first := connect(t, addr, "bob")
	connect(t, addr, "bob")
	if n := server.Sessions(); n != 2 {
		t.Errorf("%d sessions, want 2", n)
	}
	first.Conn.Close()
	<-ended
}
