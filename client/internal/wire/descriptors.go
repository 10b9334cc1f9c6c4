package wire

import (
	"net"
	"os"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire/scmrights"
)

// descriptors are the open files that a server may send besides its bytes (§8.4). Where none
// is awaited, the kernel closes what comes.
type descriptors struct {
	awaited bool
	file    *os.File // that has come, and that nobody has taken
}

// receive reads what arrives, and the descriptor that comes with it if one is awaited.
func (t *tap) receive(p []byte) (int, error) {
	socket, ok := t.conn.(*net.UnixConn)
	if !ok || !t.files.awaited {
		return t.conn.Read(p)
	}
	n, files, err := scmrights.Receive(socket, p)
	if len(files) == 0 {
		return n, err
	}
	if len(files) > 1 || t.files.file != nil {
		scmrights.Close(files)
		return 0, protocol.Fatalf(protocol.CodeProtocolViolation, "server sent more than one file descriptor")
	}
	t.files.file = files[0]
	return n, err
}

// TakesDescriptors reports whether the server may be asked for descriptors of files: it has
// announced that it gives some, and the connection can carry them.
func (c *Conn) TakesDescriptors() bool {
	_, socket := c.net.(*net.UnixConn)
	return socket && c.Has(protocol.ExtensionDescriptors)
}

// AwaitDescriptor is called ahead of [Conn.Ask] for a command whose answer may be a
// descriptor. One of them comes at the most, until Descriptor is called.
func (c *Conn) AwaitDescriptor() { c.tap.files.awaited = true }

// Descriptor is the file that has come since [Conn.AwaitDescriptor], which is the caller's
// from now on; nil where none has come. No other is taken until AwaitDescriptor is called
// again.
func (c *Conn) Descriptor() *os.File {
	file := c.tap.files.file
	c.tap.files = descriptors{}
	return file
}

// DropDescriptor closes what [Conn.Descriptor] would return.
func (c *Conn) DropDescriptor() {
	if file := c.Descriptor(); file != nil {
		_ = file.Close() // it was not written to
	}
}

// CopyDone appends the end of a copy to what [Conn.Flush] sends.
func (c *Conn) CopyDone() error { return c.append(&pgproto3.CopyDone{}) }

// CopyFail appends the end of a copy that has failed to what [Conn.Flush] sends.
func (c *Conn) CopyFail(why string) error { return c.append(&pgproto3.CopyFail{Message: why}) }

func (c *Conn) append(m pgproto3.FrontendMessage) (err error) {
	c.out, err = m.Encode(c.out)
	return err
}
