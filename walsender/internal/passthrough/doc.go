// Package passthrough hands commands of a session to PostgreSQL's own walsender, and passes the
// answers on, message by message (§4.9). [Check] says which commands must not be passed; an
// [Upstream] runs the others.
//
// The session's goroutine reads from PostgreSQL and writes to the client. While a command copies
// towards PostgreSQL, a second goroutine reads from the client and writes to PostgreSQL. Neither
// holds more than a piece of a message, so each end feels how fast the other end reads.
package passthrough
