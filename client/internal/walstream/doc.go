// Package walstream receives the WAL that a backup needs while the backup copies files, over
// a connection of its own, as pg_receivewal does.
//
// The run calls [Open] before the backup starts, [Stream.Reserve] and [Stream.Start] as
// soon as it has started, and [Stream.WaitFor] when it is known where the backup ends.
// Segments and history files go into a sink of the output; the records in them are checked
// while they pass. A [Lineage] says on which timeline a position is, and a [Need] which
// segments a recovery reads, of WAL that is fetched as well.
//
// # Goroutines
//
// Start begins the goroutine that reads the connection and writes segments. It ends with
// the stop position, an error, or the connection. For as long as it runs another goroutine
// reports at intervals to the server what has arrived. Close waits for both.
package walstream
