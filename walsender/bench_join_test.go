package walsender_test

import (
	"testing"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// BenchmarkJoin connects and joins a backup that has more and more sessions.
func BenchmarkJoin(b *testing.B) {
	cluster := benchCluster(b, walsendertest.Sample{Databases: 1, Relations: 1, RelationPages: 1})
	l, err := walsender.ListenUnix(socketDir(b), 5433)
	if err != nil {
		b.Fatal(err)
	}
	server := &walsender.Server{Cluster: cluster, MaxWALSenders: 1 << 20}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }() // ends with Close
	b.Cleanup(func() { server.Close(); <-done })
	id := value(b, benchConnect(b, l.Addr()).query("START_BACKUP"), 3)
	b.ReportAllocs()
	for b.Loop() {
		benchConnect(b, l.Addr()).query("JOIN_BACKUP '" + id + "'")
	}
}
