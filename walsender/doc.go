// Package walsender serves the parallel base backup protocol: PostgreSQL's
// replication protocol with the commands START_BACKUP, JOIN_BACKUP, STOP_BACKUP,
// LIST_TABLESPACES, LIST_FILES, LIST_WAL_FILES, SEND_FILE, FILE_DIGESTS, LIST_BACKUPS and
// ALTER_BACKUP. It also answers PostgreSQL's own BASE_BACKUP, for pg_basebackup and what is
// like it, IDENTIFY_SYSTEM, SHOW and TIMELINE_HISTORY, and, where no PostgreSQL runs,
// START_REPLICATION and the commands of replication slots; [Server.Commands] leaves out
// either family. Every § here is one of protocol/PROTOCOL.md in this module.
//
// A [Server] is used as an http.Server is: fill in its fields, call
// [Server.Serve] with a listener, end it with [Server.Shutdown]. The bytes come
// from a [Cluster]; package datadir has the one of a stopped cluster, package
// livecluster the one of a cluster that runs.
//
//	cluster, err := datadir.Open("/var/lib/postgresql/15/main", datadir.Options{})
//	…
//	server := &walsender.Server{Cluster: cluster}
//	listener, err := net.Listen("tcp", "127.0.0.1:5433")
//	…
//	log.Fatal(server.Serve(listener))
//
// Whoever writes a Cluster finds out what it lacks by "pgparallel conform --server", which
// tries a server case by case, or by [conformance.CheckServer] in a Go test. Server.BackupEnded
// and Server.SessionEnded tell a program what became of each backup and each session.
//
// # How a session runs
//
// Each connection has two goroutines. One runs the commands, one after the other,
// and is the only one that writes. The other reads ahead: at most 64 KiB, so that
// pipelined commands wait here and the end of the connection is noticed while a
// command runs. A backup lives as long as its leader's session (§3.5), which alone has the
// handle by which the cluster ends it ([protocol.RunningBackup]).
//
// A BASE_BACKUP is a backup like any other, in one command: its session leads it, joins
// nobody to it and stops it. The archives are made as they are sent, and compressed on the
// way where the client asks for that.
//
// What is not a command of a parallel backup goes to the cluster's own walsender
// where there is one ([PassThrough]), over a connection that belongs to the session.
// The session's goroutine passes the answer on, message by message; while a command
// copies in the other direction, a third goroutine takes the peer's messages from the
// one that reads ahead. Nobody holds more than a piece of a message, so each end feels
// how fast the other reads.
//
// # Security
//
// Without an [Authenticator] whoever can connect can read the whole cluster, and do what
// the role may that commands are passed through as: the server then takes connections
// from its own machine only, and it is up to its owner that all users of the machine
// are trusted, or that only the right one can open the socket ([ListenUnix] makes such a
// one). Package auth has an Authenticator that goes by rules as pg_hba.conf has them.
//
// [conformance.CheckServer]: https://pkg.go.dev/github.com/pgparallel/pgparallel/walsender/conformance
package walsender
