// Package client takes a base backup of a PostgreSQL cluster over several
// connections at once, from a server that speaks the parallel base backup
// protocol (PROTOCOL.md), and checks such a backup afterwards.
//
// [Backup] writes a plain data directory, as pg_basebackup -Fp does, or archives, as
// -Ft does. It either leaves a whole backup behind or what it found: on failure, and
// when its context ends, everything that it created is removed. Nothing short of a
// finished backup can be started by PostgreSQL, whatever kills the process:
// pg_control has another name until all else is on disk, or so have the archives.
//
// [Verify] compares a backup with its backup_manifest, as pg_verifybackup does,
// with several goroutines and without PostgreSQL at hand.
package client
