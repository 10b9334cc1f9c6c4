// Package datadir is a PostgreSQL data directory on disk: what a base backup
// holds of it and what it leaves out, how its files are opened without leaving
// it, and what pg_control says. It knows PostgreSQL 13 to 19 and no network.
//
// [Dir] is the directory alone. [Stopped] is the cluster whose server does not
// run: a Dir with the start and the stop of backups. Both are to be closed.
//
// The errors of methods that answer a command are *[protocol.Error] with the
// SQLSTATE that the protocol asks for; anything else is the end of a context.
package datadir
