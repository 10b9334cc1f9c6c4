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
//
// A new case is an entry in the file of its area, and a server that fails it in
// server_test.go of package conformance.
package serverkit
