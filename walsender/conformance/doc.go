// Package conformance tests whether clients and servers of parallel base backups keep
// to the protocol (PROTOCOL.md). It is what "pgparallel conform" runs.
//
// A client is any program that takes a backup, or a function of a Go program. Each
// case gives it a server of its own, on 127.0.0.1, with a small cluster in memory, in
// which one thing goes wrong: a worker is refused, a file breaks off, WAL is gone, a
// row tries to lead out of the target. Then three things are judged: what was said on
// the connections, the exit status, and the directory that is left behind. A client
// that says success must have the whole cluster there, byte for byte; one that fails
// must have said why, and have left everything as it was.
//
// # In CI
//
// With the program pgparallel, for a client that is a program:
//
//	pgparallel conform --strict --junit=conform.xml -- \
//		mybackup --host {host} --port {port} --jobs {jobs} {dir}
//
// The exit status is 0 only if every case passed that counts; it is 3 if no case was
// selected, so that a mistake in a selection does not look like a success. A failed
// case comes with what was expected, what happened, and the one command that repeats
// it. With --trace=DIR that command writes all that was said, a file a connection.
//
// In a Go test, for a client in the same program, see [Run]. Both use [CheckClient].
//
// A client that is not yet right has a list of known failures (--known-failing). The
// cases in it are run all the same, and one that begins to pass fails the run: take it
// off the list. What a client is not meant to be able to do is named in a profile
// (--profile), or told by the exit status 77 ([StatusNotSupported]); in a strict run a
// MUST has to be in the profile. A case that could not be run counts as a failure.
//
// # What a client is given
//
// [Target] says it: an address, a directory, the number of connections, the directory
// of a tablespace and where it goes. A program gets these as arguments, see
// [Options.Command]. The server wants no password and has no TLS; the user is anybody.
// The backup is to be with WAL, manifest and, where the server returns one,
// backup_label. Programs get no PG… variables, so that nobody's environment decides.
//
// # Servers
//
// [CheckServer] ("pgparallel conform --server=HOST:PORT") tests a server by sections 1
// to 4, 8 and 9. It starts and stops backups, makes temporary replication slots, and changes
// nothing else. The server must allow four sessions at a time. Some of the cases of
// S-BASEBACKUP have the whole cluster sent: a small one is enough.
//
// PostgreSQL's own commands (§9) are judged by what PostgreSQL of the same major version has
// answered to them; a failure shows the difference, line by line. A server may leave these
// commands out: it is excused from the cases then, and what it has said is the reason. So it is
// where a connection does not show what a case is about. Such results do not count.
//
// # The cases
//
// [Cases] and [ServerCases] list them ("pgparallel conform list"). Each has an ID that
// stays, the section that it is about, and the reason for the rule. A MUST counts
// always, a SHOULD in strict runs. The order of the cases and the places at which files
// break off come from a seed, which is printed and can be given again.
package conformance
