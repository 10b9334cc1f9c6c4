// Package serverkit has the cases that test servers, and runs them.
//
// # How the kit is built
//
// A [Case] is a rule and a function, which has a conversation with the server, as a test
// has a testing.T. The conversation opens sessions (peer), each of which sends commands
// and reads answers. What is wanted is said by want, done and refused. The first thing
// that is not as wanted is the finding; after it nothing is sent, and every answer is
// empty, so that a case is a straight list of sentences.
//
// # Where things are
//
//	cases.go cases_*.go   the cases, a file for one area of their IDs or for a few
//	conversation.go       connections and commands
//	answer.go             what a server answers to one command
//	play.go archive.go    what it answers to one of PostgreSQL's own commands, as lines
//	transcript.go         these lines beside PostgreSQL's, and which differences are accepted
//	transcripts/          what PostgreSQL has said, by major version
//
// # PostgreSQL's own commands
//
// The cases of S-BASEBACKUP, S-REPLICATION and S-SLOT play commands. What a server says to
// them, without what another cluster has otherwise, is held against a transcript of what
// PostgreSQL's own walsender has said to the same commands. TestTranscripts_Long plays them to
// PostgreSQL, to write the transcripts (-update) and to hold them true; the kit needs no
// PostgreSQL. A difference that PROTOCOL.md allows is in acceptedDifferences, with the reason.
// What is not in the lines (the content of archives, of a manifest, of WAL) the cases look at.
//
// A new case is an entry in the file of its area, and a server that fails it in
// server_test.go of package conformance.
package serverkit
