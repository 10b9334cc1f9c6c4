// Package wire is one connection of a client to a server of parallel base backups, and
// how it is opened.
//
// A [Dialer] opens the first connection wherever the configurations lead, and all others
// to the same address. A [Conn] sends queries and reads their answers: [Row] and
// [Conn.Rows] for a result, [Conn.Ask], [Conn.Flush] and [Conn.Next] for whoever asks
// ahead, or copies. Notices and parameters are dealt with on the way. What ends a
// connection is told apart by type: [LostError], after which another connection may do
// better, and [TimeoutError], after which none may.
//
// The package starts one kind of goroutine, that of a [Watch], and the connection ends
// with the context that it was opened for, or with [Conn.Close].
//
//	goroutine          may                                 ends
//	the owner          use the connection                  -
//	another writer     Send, while the owner reads         -
//	anybody            Abort                               -
//	a Watch            read, while the owner does nothing  with Stop, or the connection
//
// It knows nothing of backups: neither what is asked nor what is done with the answer.
package wire
