// Package client takes a base backup of a PostgreSQL cluster over several
// connections at once, from a server that speaks the parallel base backup
// protocol (PROTOCOL.md), and checks such a backup afterwards.
//
// [Backup] writes a plain data directory, as pg_basebackup -Fp does, or archives, as
// pg_basebackup -Ft does. On failure, and when its context ends, Backup removes
// everything that it created. PostgreSQL cannot start from an unfinished backup,
// whatever kills the process: in a data directory pg_control has another name until all
// other files are on disk, and archives have other names until all of them are.
//
// # How a backup runs
//
// The goroutine that calls Backup takes the steps of §5.1, in the order of the list in
// backup.go, and leads the backup over a connection of its own. Each worker has a
// connection, and a goroutine while files are copied. With [WALStream] a goroutine receives
// the WAL over one more connection, from the start of the backup to its end, and another
// reports to the server how far it is. While the workers copy, a goroutine watches the
// leader's connection, so that its loss is noticed at once, and, where nothing keeps the
// WAL that is to be fetched, asks over it whether that is still there. One more calls
// [Options.Progress]. All of them end before Backup returns.
//
// The run knows what the backup is written as by one interface (internal/output), and the
// server by its connections (internal/wire). WAL that is streamed is received by
// internal/walstream.
//
// # Verification
//
// [Verify] compares a backup, a data directory or archives, with its backup_manifest, as
// pg_verifybackup does, and reads its WAL, with several goroutines and without PostgreSQL
// at hand. internal/verify/doc.go says how.
package client
