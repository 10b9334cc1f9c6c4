// Package walsender serves the parallel base backup protocol: PostgreSQL's
// replication protocol with the commands START_BACKUP, JOIN_BACKUP, STOP_BACKUP,
// LIST_TABLESPACES, LIST_FILES, LIST_WAL_FILES and SEND_FILE.
//
// A [Server] is used as an http.Server is: fill in its fields, call
// [Server.Serve] with a listener, end it with [Server.Shutdown]. The bytes come
// from a [Cluster]; package datadir has the one of a stopped cluster.
//
//	cluster, err := datadir.Open("/var/lib/postgresql/15/main", datadir.Options{})
//	…
//	server := &walsender.Server{Cluster: cluster}
//	listener, err := net.Listen("tcp", "127.0.0.1:5433")
//	…
//	log.Fatal(server.Serve(listener))
//
// # How a session runs
//
// Each connection has two goroutines. One runs the commands, one after the other,
// and is the only one that writes. The other reads ahead: at most 64 KiB, so that
// pipelined commands wait here and the end of the connection is noticed while a
// command runs. A backup lives as long as its leader's session (§3.5).
//
// # Security
//
// The server has no authentication yet: whoever can open a connection can read the
// whole cluster. Listen on a unix socket that only the right user can open
// ([ListenUnix] makes such a one), or on the loopback interface of a machine whose
// users are all trusted.
package walsender
