package walsendertest

import (
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol/wire/scmrights"
)

// innerConn is a session's end of its connection to the walsender.Server.
type innerConn interface {
	net.Conn
	CloseWrite() error
}

// innerPipe is the connection between the session of a client and the walsender.Server: in
// memory, or, where the client is on a Unix socket, of that kind, which carries descriptors
// (§8.4).
func innerPipe(client net.Conn) (inner innerConn, server net.Conn) {
	if _, socket := client.(*net.UnixConn); socket {
		if ours, theirs, err := socketPair(); err == nil {
			return &scmrights.Conn{UnixConn: ours}, theirs
		}
	}
	mine, server := memPipe()
	return mine, server
}

func socketPair() (a, b *net.UnixConn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		end, failed := net.FileConn(file) // of a copy of the descriptor
		_ = file.Close()
		if failed != nil {
			err = failed
			continue
		}
		ends[i], _ = end.(*net.UnixConn)
	}
	return ends[0], ends[1], err
}

// handed are the files that came with the message that is being passed, which is the CopyData of
// an answer with a descriptor. They are closed when it was passed.
func (s *session) handed(kind byte) []*os.File {
	if taking, ok := s.inner.(*scmrights.Conn); ok && kind == 'd' {
		return taking.Take()
	}
	return nil
}

// hand sends a message with descriptors.
func (s *session) hand(m message) error {
	if err := s.out.Flush(); err != nil {
		return err
	}
	fds := make([]int, len(m.files))
	for i, f := range m.files {
		fds[i] = int(f.Fd())
	}
	_, err := scmrights.Send(s.raw.(*net.UnixConn), append(header(m.kind, len(m.body)), m.body...), fds...)
	return err
}
