// Package acceptance has tests only: they run the built program as its users do, against real
// clusters and through real sockets, and let PostgreSQL's own programs judge what comes of it.
// What holds the program together, program_test.go, is the place to begin.
package acceptance
