// Package protocol has the values that both ends of the parallel base backup protocol
// share: positions in the write-ahead log, timelines, paths, errors with their SQLSTATE,
// one type a result set, and backup_label. It reads and writes nothing. How the values
// travel is in package [github.com/pgparallel/pgparallel/protocol/wire], the manifest of
// a backup in [github.com/pgparallel/pgparallel/protocol/manifest].
//
// The protocol itself is written down in PROTOCOL.md beside this file; a § in a
// comment is a section of it. Everything else is named, and behaves, as in
// PostgreSQL.
//
// # Rows
//
// Each result set has a struct, a function for its columns, a method Row that
// encodes, and a function Decode… that checks what it decodes:
//
//	START_BACKUP                  BackupStart
//	STOP_BACKUP                   BackupStop
//	LIST_TABLESPACES              Tablespace
//	LIST_FILES, LIST_WAL_FILES    File
//	IDENTIFY_SYSTEM               System
//	TIMELINE_HISTORY              HistoryFile
//	SHOW                          Settings
//
// # Errors
//
// What a peer is told is an [Error]; it carries its SQLSTATE. Any other error of
// this package concerns this side only: a broken connection, a row or a file
// that is not what it should be.
//
// # Goroutines
//
// The package starts none and keeps no state. Values may be read from many at
// once.
package protocol
