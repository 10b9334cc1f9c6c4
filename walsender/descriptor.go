package walsender

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire/scmrights"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
)

// overflowUID is the user that the kernel names where the real one has no number in the
// user namespace of this process: it may be anybody.
const overflowUID = 65534

// mayHaveDescriptors reports whether the peer gets descriptors of files: the user whom this
// process runs as, or root, at the other end of a Unix socket, who can read the files
// anyway (§8.4).
func (s *session) mayHaveDescriptors() bool {
	if s.unixConn() == nil || !s.grant.Backup {
		return false
	}
	uid, err := peer.UID(s.stall.Conn)
	own := uint32(os.Geteuid())
	return err == nil && (uid == 0 || uid == own && uid != overflowUID)
}

// unixConn is the session's connection where it is a Unix socket without TLS, else nil.
func (s *session) unixConn() *net.UnixConn {
	if s.conn != net.Conn(s.stall) {
		return nil
	}
	conn, _ := s.stall.Conn.(*net.UnixConn)
	return conn
}

// descriptorOf reports whether the answer to the command is a descriptor of the file that
// was opened for it, and not a COPY.
func (s *session) descriptorOf(c grammar.SendFile, t *transfer) (d descriptor, ok bool) {
	if !c.Descriptor || c.IsRange() || t.wal || t.backup.MaxRate > 0 || !s.mayHaveDescriptors() {
		return d, false
	}
	f, ok := t.file.(DescriptorFile)
	if ok {
		d.fd, d.size, ok = f.Descriptor()
	}
	return d, ok
}

// descriptor is a file that a peer may copy by itself.
type descriptor struct {
	fd   int
	size int64 // how many bytes of it belong to the backup
}

// sendDescriptor hands the peer a descriptor of the file, and waits until the peer has
// copied it. The file counts as being sent until then.
func (s *session) sendDescriptor(ctx context.Context, t *transfer, d descriptor) error {
	if err := s.out.send(&pgproto3.CopyBothResponse{}); err != nil {
		return err
	}
	if err := s.out.flush(); err != nil {
		return err
	}
	count, err := (&pgproto3.CopyData{Data: strconv.AppendInt(nil, d.size, 10)}).Encode(nil)
	if err != nil {
		return err
	}
	if err := s.writeDescriptor(count, d.fd); err != nil {
		return lostError{err}
	}
	if err := s.awaitCopied(ctx, t); err != nil {
		return err
	}
	t.backup.AddSent(d.size)
	if err := s.out.send(&pgproto3.CopyDone{}); err != nil {
		return err
	}
	return s.complete("SEND_FILE")
}

// errLookAround ends a wait that the standby check interrupts.
var errLookAround = errors.New("time for the standby check")

// awaitCopied waits for the peer's CopyDone, as long as what must hold while a file is sent
// does hold. Nothing bounds the wait but that: the peer holds up its own backup only.
func (s *session) awaitCopied(ctx context.Context, t *transfer) error {
	for {
		if err := s.checkPiece(ctx, t); err != nil {
			return err
		}
		wait, cancel := ctx, func() {}
		if t.backup.InRecovery {
			wait, cancel = context.WithTimeoutCause(ctx, recoveryInterval, errLookAround)
		}
		kind, body, err := s.in.Next(wait)
		cancel()
		switch {
		case errors.Is(err, errLookAround):
		case err != nil:
			return err
		case kind == 'c':
			return s.checkPiece(ctx, t)
		case kind == 'f':
			return givenUp(body)
		case kind == 'X':
			return peer.ErrGone
		default:
			return protocol.Fatalf(protocol.CodeProtocolViolation,
				"unexpected message type 0x%02X before the CopyDone of a file that is copied by its descriptor", kind)
		}
	}
}

// givenUp is the answer to a CopyFail.
func givenUp(body []byte) error {
	var m pgproto3.CopyFail
	if err := m.Decode(body); err != nil {
		return protocol.Fatalf(protocol.CodeProtocolViolation, "invalid CopyFail message")
	}
	return protocol.Errorf(protocol.CodeQueryCanceled, "the client has given the file up: %s", protocol.Shorten(m.Message, 200))
}

// writeDescriptor writes p, with a descriptor that arrives with the first byte of it.
func (s *session) writeDescriptor(p []byte, fd int) error {
	if err := s.stall.BeginWrite(); err != nil {
		return err
	}
	_, err := scmrights.Send(s.unixConn(), p, fd)
	return err
}
