package walsendertest

import "net"

// Describe is how a transcript shows a message of a server.
var Describe = describe

// MemPipe is a connection in memory.
func MemPipe() (client, server net.Conn) { return memPipe() }
