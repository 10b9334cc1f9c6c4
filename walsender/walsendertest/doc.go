// Package walsendertest makes what tests of base backups need.
//
// A [Server] is for tests of clients what net/http/httptest has for those of HTTP: a
// real walsender.Server, on loopback or in memory, with or without TLS, over a
// [Cluster] that takes no room. Things go wrong in it where a test says so:
//
//	cluster := walsendertest.Standby()
//	server := walsendertest.NewServer(t, cluster,
//		walsendertest.RefuseConnection(3, walsendertest.TooManySenders),
//		walsendertest.CutFile("base/5/20000", 1000),
//	)
//	config, err := server.ConnConfig()
//	…
//	t.Log(server.Transcript())
//
// A [Sample] is a data directory that base backup tools take for a PostgreSQL
// cluster's, written in moments and without a server. A Cluster is the same in memory,
// byte for byte. Neither holds catalogs, so no server ever starts on them; for that
// there is the package postgres below this one, which runs the real programs.
//
// # Faults
//
// A [Fault] is a value, made by a function that is named after what happens. Files are
// named by their paths, sessions by their numbers, from 1 in the order in which they
// connect, positions in a file by the bytes before them. A fault happens once, unless
// its function says otherwise or [Fault.Times] does; what has to do with a cluster's
// files and rows happens always. Faults can be combined. One that never happens
// is a mistake in the test more often than not: see [Server.Unused].
//
// # Time
//
// Whatever waits, waits by package time. With [Server.InMemory] a test can run in a
// testing/synctest bubble, where an hour passes in no time.
package walsendertest
