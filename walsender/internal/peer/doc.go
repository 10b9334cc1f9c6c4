// Package peer is the connection to a client, as a session of the server has it: a [Conn] that
// gives up a peer that reads nothing, a [Reader] that takes messages off it ahead of the session,
// and [Secured], TLS over it. The package knows frames of messages, and no command.
//
// One goroutine of the session writes, and takes messages from the Reader. Another runs
// [Reader.Fill]. Conn's Hurry and Unhurry may be called from any.
package peer
