// Package datadir reads a PostgreSQL data directory on disk. It decides which files
// belong to a base backup, opens files without following a path out of the directory,
// and decodes pg_control. The package knows PostgreSQL 13 to 19; it does not use the
// network.
//
// [Dir] is the directory alone. [Stopped] is the cluster whose server does not
// run: a Dir with the start and the stop of backups. Both are to be closed.
//
// The errors of methods that answer a command are *[protocol.Error] with the
// SQLSTATE that the protocol asks for; anything else is the end of a context.
package datadir
