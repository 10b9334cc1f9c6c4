// Package sharedstate is what the sessions of a server share: the table of
// running backups, their ids and their throttles (PROTOCOL.md §3, §6.1). It does
// no I/O and knows no network.
//
// A backup is led by the session that issued START_BACKUP and sent by every
// session that joined it. The leader's duties, in order:
//
//  1. [Table.Start] takes a place in the table, before the checkpoint.
//  2. [Backup.Started] tells that the checkpoint is done. From here on other
//     sessions can join.
//  3. [Backup.Stop] asks to stop. Once it is accepted no file begins any more.
//  4. [Backup.End] when the cluster's own stop has succeeded.
//
// Whatever goes wrong on the way, [Backup.Abort] ends the backup; it may be
// deferred, for it does nothing after End.
//
// A joined session's duties:
//
//  1. [Table.Join], once, and [Backup.Leave] when it goes.
//  2. For every file [Backup.BeginFile], then [Backup.Throttle] before each piece
//     that is sent, then the end function that BeginFile returned.
//  3. [Backup.Done] wakes it when the backup is over; [Backup.Err] is then what
//     its peer is told.
//
// The leader may send files too. WAL files are no part of this: they may be sent
// when the backup is over, and only share its rate ([Backup.ThrottleWAL]).
//
// Every error that comes from the state of a backup is a *[protocol.Error], ready
// for the wire. Whole ids are secrets and appear in none.
//
// # Sessions in other processes
//
// Here the sessions that share a backup share one *[Backup]. Nothing in the
// contracts asks for that: a session only calls methods of the handle that Start
// or Join gave it, each of which reads or changes the entry in one step, and is
// told of the end by a channel. A table over a shared store can hand out one
// handle a session and keep to the same contracts.
package sharedstate
