package serverkit

import (
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire/scmrights"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

// describedFile is a file that every cluster has, and that a server may hand over.
const describedFile = "PG_VERSION"

func descriptorCases() []Case {
	return []Case{
		{rule.Must("S-DESCRIPTOR/001", "§8.4", "Over a network nobody gets an open file."), func(t *conversation) {
			p := t.session()
			if _, socket := p.conn.(*scmrights.Conn); socket {
				t.excuse(rule.Excuse{NotRun: true, Reason: "needs TCP: on a Unix socket a server may announce descriptors"})
			}
			t.want(!p.hasDescriptors(), "descriptors are announced on Unix sockets only", "they are announced")
		}},
		{rule.Must("S-DESCRIPTOR/002", "§8.4", "A file that is handed over is the one that would be sent, and can only be read."), func(t *conversation) {
			t.described(func(p *peer, h handed) {
				content, err := io.ReadAll(io.NewSectionReader(h.file, 0, h.size))
				flags, _ := unix.FcntlInt(h.file.Fd(), unix.F_GETFL, 0)
				t.want(err == nil && int64(len(content)) == h.size, fmt.Sprintf("%d bytes to read", h.size), "%d, %v", len(content), err)
				t.want(flags&unix.O_ACCMODE == unix.O_RDONLY, "a descriptor that is open for reading only", "its flags are %#x", flags)
				p.send(message('c', ""))
				a := p.answer()
				t.want(a.kinds == "cCZ" && a.tag == "SEND_FILE", "after CopyDone: CopyDone, CommandComplete SEND_FILE, ReadyForQuery", "%s (%s)", a, a.kinds)
				plain := p.done("SEND_FILE ('%s')", describedFile)
				t.want(plain.size == h.size && plain.sum == crc32.Checksum(content, castagnoli), "the same bytes as without DESCRIPTOR", "%d bytes, and %d", h.size, plain.size)
			})
		}},
		{rule.Must("S-DESCRIPTOR/003", "§8.4", "A client may give a file up, and ask for it otherwise."), func(t *conversation) {
			t.described(func(p *peer, _ handed) {
				p.send(message('f', "the kit gives it up\x00"))
				a := p.answer()
				t.want(a.code == "57014" && a.severity == "ERROR" && a.ready, "after CopyFail: ERROR 57014, and ReadyForQuery", "%s", a)
				p.done("SEND_FILE ('%s')", describedFile)
				p.stop()
			})
		}},
		{rule.Must("S-DESCRIPTOR/004", "§8.4", "While a file is copied, nothing else is to be asked."), func(t *conversation) {
			t.described(func(p *peer, _ handed) {
				p.send(query("LIST_TABLESPACES"))
				a := p.answer()
				t.want(a.code == "08P01" && a.severity == "FATAL" && a.closed, "a Query ahead of CopyDone: FATAL 08P01, and the end", "%s", a)
			})
		}},
		{rule.Must("S-DESCRIPTOR/005", "§8.4", "A file that a client copies is being sent: a backup cannot end meanwhile."), func(t *conversation) {
			leader := t.session()
			if !leader.hasDescriptors() {
				return
			}
			worker := t.joined(leader.start().ID)
			h, ok := worker.handOver(describedFile)
			if !ok {
				return
			}
			defer h.file.Close()
			leader.refused("55006", "STOP_BACKUP NOWAIT")
			worker.send(message('c', ""))
			worker.answer()
			leader.stop()
		}},
		{rule.Must("S-DESCRIPTOR/006", "§8.4", "What has to be read by the server is sent: pg_control, and whatever has a rate."), func(t *conversation) {
			p := t.session()
			if !p.hasDescriptors() {
				return
			}
			p.start()
			p.copied(controlFile)
			p.stop()
			p.done("START_BACKUP LABEL 'conformance' FAST MAX_RATE 1048576")
			p.copied(describedFile)
			p.stop()
		}},
	}
}

// hasDescriptors reports whether the session was told that it may have descriptors.
func (p *peer) hasDescriptors() bool {
	return protocol.ExtensionDescriptors.Announced(p.parameters[protocol.ParameterExtensions])
}

// described runs a check in a backup in which a file is handed over. Where none is, the server
// makes no use of its right, and there is nothing to check.
func (t *conversation) described(check func(*peer, handed)) {
	p := t.session()
	if !p.hasDescriptors() {
		return
	}
	p.start()
	if h, ok := p.handOver(describedFile); ok {
		defer h.file.Close()
		check(p, h)
	}
}

// handed is a file that a server has handed over.
type handed struct {
	file *os.File
	size int64
}

// handOver asks for a file by its descriptor. It reports false where the file came as a COPY.
func (p *peer) handOver(path string) (h handed, ok bool) {
	p.send(query(fmt.Sprintf("SEND_FILE ('%s') DESCRIPTOR", path)))
	var first answer
	if !p.take1(&first) || first.kinds != "W" {
		p.answer()
		return handed{}, false
	}
	if !p.take1(&first) {
		return handed{}, false
	}
	var files []*os.File
	if socket, ok := p.conn.(*scmrights.Conn); ok {
		files = socket.Take()
	}
	size, err := strconv.ParseInt(string(first.head), 10, 64)
	if first.kinds != "Wd" || err != nil || len(files) != 1 {
		scmrights.Close(files)
		p.fail("CopyBothResponse, and CopyData with the size and one descriptor", "messages %q, %q, and %d descriptors", first.kinds, first.head, len(files))
		return handed{}, false
	}
	return handed{files[0], size}, true
}

// take1 takes one message that is no notice.
func (p *peer) take1(a *answer) bool {
	for before := a.kinds; !p.over() && a.kinds == before; {
		kind, body, err := p.frames.Next()
		if err == nil {
			err = a.take(kind, body)
		}
		if err != nil {
			p.fail("messages of the protocol", "%v", err)
		}
	}
	return !p.over()
}

// copied wants a file to come as a COPY, although a descriptor was asked for.
func (p *peer) copied(path string) {
	a := p.ask("SEND_FILE ('%s') DESCRIPTOR", path)
	p.want(slices.Contains([]string{"HdcCZ", "HcCZ"}, a.kinds), a.name()+": a COPY", "%s (%s)", a, a.kinds)
}

// keepFiles has a Unix socket keep the descriptors that come.
func keepFiles(c net.Conn) net.Conn {
	if socket, ok := c.(*net.UnixConn); ok {
		return &scmrights.Conn{UnixConn: socket}
	}
	return c
}
