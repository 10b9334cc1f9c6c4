// Package livecluster backs up a PostgreSQL cluster that runs, a primary or a standby. It
// reads the data directory beside PostgreSQL, and asks PostgreSQL over SQL to start and to
// stop a backup.
//
// [Open] makes a [Cluster] that walsender serves. The files come from the data
// directory. START_BACKUP opens an SQL session of its own, which is in backup mode
// until STOP_BACKUP and is watched all the while: when it ends, the backup is aborted.
// When the leader of the backup ends, so does the session. What is not a command of a
// parallel backup goes to PostgreSQL's own walsender, over a second connection of the
// client's session.
//
// # Roles
//
// The role of [Config.ConnString] needs LOGIN, and EXECUTE on the two functions of a
// backup, in the database that it connects to. From PostgreSQL 15 on:
//
//	CREATE ROLE backup LOGIN;
//	GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean) TO backup;
//
// On 13 and 14 they are pg_start_backup(text, boolean, boolean) and
// pg_stop_backup(boolean, boolean). Where EXECUTE on pg_control_system() or
// pg_export_snapshot() has been taken from PUBLIC, it is needed as well.
//
// The role of [Config.PassThrough] needs LOGIN and REPLICATION:
//
//	CREATE ROLE passer LOGIN REPLICATION;
//
// It should not be a superuser. SQL never reaches PostgreSQL through this package, nor
// does a BASE_BACKUP that writes on the server; of what a client asks for in its
// startup packet only application_name, DateStyle and TimeZone do.
//
// # Connections
//
// Both connection strings must lead to the server itself: a pooler in between is
// refused, because a backup is a matter of one server process. That the server runs on
// the open data directory, and not on a copy of it, is proven by a snapshot that it
// exports there; that the pass-through leads to the same one, by its process. Where
// another directory comes to lie under the path, [Cluster.Reopen] serves that.
package livecluster
