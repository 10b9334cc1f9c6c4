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
// [Verify] compares a backup with its backup_manifest, as pg_verifybackup does,
// with several goroutines and without PostgreSQL at hand.
package client
