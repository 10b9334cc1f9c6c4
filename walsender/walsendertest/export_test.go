package walsendertest

import "net"

// MemPipe is a connection in memory.
func MemPipe() (client, server net.Conn) { return memPipe() }
