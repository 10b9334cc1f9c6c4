// Package walsendertest has servers and sample clusters for tests of whatever speaks the
// replication protocol: programs that take base backups, in parallel or by BASE_BACKUP, and
// programs that stream WAL by START_REPLICATION PHYSICAL.
//
// A [Server] does for tests of backup clients what httptest.Server does for tests of
// HTTP clients. It is a real walsender.Server, on loopback or in memory, with or without
// TLS, over a [Cluster] in memory. A test says what goes wrong in the server:
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
// A [Sample] is a data directory that base backup tools take for the data directory of a
// PostgreSQL cluster. It is written in moments, without PostgreSQL. A Cluster is the same
// in memory, byte for byte. Neither holds catalogs, so PostgreSQL does not start on them.
// A test that needs a running PostgreSQL uses package postgres, which lies below this one
// and runs the real programs.
//
// A § is a section of the specification, protocol/PROTOCOL.md.
//
// # Faults
//
// A [Fault] is a value, made by a function that is named after what happens:
//
//   - to a connection: [RefuseConnection], [CutAfter], [ResetAfter]
//   - to a command: [FailCommand], [CutCommand]
//   - to a listing: [Unlisted], [ListedTwice], [ListedRow]
//   - to a file: [Vanished], [ShortFile], [GrownFile], [Stall], [Pause], [Drip], [CutFile],
//     [ResetFile], [EOFWithoutCopyDone], [ErrorInFile], [ErrorAfterCopyDone]
//   - to digests, and to parts of files: [WrongDigest], [OldDigests], [ShortRange]
//   - to a file that is handed over: [WrongDescriptor], [WrongDescriptorSize], [HandsOverSent],
//     [FailWhileCopied]
//   - to a tablespace: [TablespaceAppears], [TablespaceDropped]
//   - to a BASE_BACKUP: [CutArchive], [WrongManifest], [DamagedManifest]
//   - to a START_REPLICATION: [KeepaliveSilence], [TimelineSwitch], [SlotGone]
//   - to the backup: [WrongID], [LeaderLost], [Promotion], [StopFails], [LateErrorAtStop]
//   - to every message, which the protocol allows: [Frames], [Notices], [LateNotices],
//     [UnknownParameter], [Announced]
//
// Files are named by their paths, sessions by their numbers, from 1 in the order in which
// they connect, positions in a file by the bytes before them. A fault happens once, unless
// its function says otherwise or [Fault.Times] does; what has to do with a cluster's
// files and rows happens always. Faults can be combined. One that never happens
// is a mistake in the test more often than not, and fails it ([Server.AllowUnused]). It may
// also hide behind another, as a cut of a file whose session was refused.
//
// # A test that fails
//
// The log has the last 40 lines of the transcript. The environment variable
// WALSENDERTEST_TRANSCRIPT=all has it show the whole.
//
// # Time
//
// Whatever waits, waits by package time. With [Server.InMemory] a test can run in a
// testing/synctest bubble, where an hour passes in no time.
//
// # Memory
//
// The pages of a Cluster are computed when they are read, so that a cluster of any size
// takes no memory. A server that is not in memory keeps those that are read most in a
// cache of 64 MiB (ristretto), which makes reading them again three times as fast. It is
// the module's only use of ristretto so far: importers that only need the client or the
// server do not link it.
package walsendertest
