package walsender

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
)

const (
	// startupSlack is how many connections of an address may wait to be let in beyond
	// max_wal_senders, which a client with many workers opens at once (§1.8).
	startupSlack = 32
	// leavingSlack is how many connections there may be besides that have been pushed out
	// and are about to close; the next one waits for them.
	leavingSlack = 64
	// refusalLogInterval is how often the log tells of connections without a place: each
	// by itself would fill a disk.
	refusalLogInterval = 10 * time.Second
)

// localSource is the address of all Unix sockets.
const localSource = "local"

// startup is a connection that was not let in yet.
type startup struct {
	conn    net.Conn
	address string
	ctx     context.Context // ends, with the reason, when it is pushed out and with the server
	cancel  context.CancelCauseFunc
	refused bool // its refusal is being held back (§1.10)
	leaving bool // it has been told all that it will be told
}

// trackConn notes a connection, which costs a file descriptor before it has come to its
// session. It waits while too many are about to close.
func (s *Server) trackConn(conn net.Conn) (*startup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaitLeaving()
	if s.closed {
		return nil, ErrServerClosed
	}
	st, err := s.beginStartup(conn)
	if err != nil {
		s.logRefused(sourceOf(conn.RemoteAddr()))
		return nil, err
	}
	s.conns[conn] = struct{}{}
	s.sessions.Add(1)
	return st, nil
}

// refuse closes a connection for which the server has no place. It tells the peer why if
// the message can be written at once.
func refuse(conn net.Conn, err error) {
	defer conn.Close()
	if told := wireError(err); told != nil && told.Code == protocol.CodeTooManyConnections {
		if message, err := wire.ErrorResponse(told).Encode(nil); err == nil && conn.SetWriteDeadline(time.Now().Add(peer.HurryTime)) == nil {
			_, _ = conn.Write(message) // it is closed all the same
		}
	}
}

func (s *Server) untrackConn(conn net.Conn, st *startup) {
	conn.Close()
	st.cancel(nil)
	s.mu.Lock()
	s.endStartup(st)
	delete(s.conns, conn)
	s.left.Signal()
	s.mu.Unlock()
	s.sessions.Done()
}

func errTooManyClients() *protocol.Error {
	return protocol.Fatalf(protocol.CodeTooManyConnections, "sorry, too many clients already")
}

// startupsOf is how many connections of an address may wait to be let in.
func (s *Server) startupsOf() int { return s.maxWALSenders() + startupSlack }

// beginStartup takes a place for a connection among those that wait to be let in, and
// pushes another out where there is none (§1.8). The lock is held.
func (s *Server) beginStartup(conn net.Conn) (*startup, error) {
	st := &startup{conn: conn, address: sourceOf(conn.RemoteAddr())}
	st.ctx, st.cancel = context.WithCancelCause(s.ctx)
	limit := s.startupsOf()
	switch count := countStartups(s.startups); {
	case count[st.address] >= limit:
		// Those whose refusal is held back keep their places: passwords could be tried
		// fast if a new connection ended the wait for the last one's answer.
		oldest := slices.IndexFunc(s.startups, func(other *startup) bool {
			return other.address == st.address && !other.refused
		})
		if oldest < 0 {
			return nil, errTooManyClients()
		}
		s.pushOut(oldest)
	case len(s.startups) >= 2*limit:
		// Never one of a Unix socket, which the network cannot reach: whoever looks after
		// the server gets in there whatever comes from elsewhere.
		most := ""
		for _, other := range s.startups {
			if other.address != localSource && count[other.address] > count[most] {
				most = other.address
			}
		}
		s.pushOut(slices.IndexFunc(s.startups, func(other *startup) bool { return other.address == most }))
	}
	s.startups = append(s.startups, st)
	return st, nil
}

func countStartups(all []*startup) map[string]int {
	count := map[string]int{}
	for _, st := range all {
		count[st.address]++
	}
	return count
}

// pushOut ends the startup with this number. The lock is held.
func (s *Server) pushOut(i int) {
	st := s.startups[i]
	s.startups = slices.Delete(s.startups, i, i+1)
	s.logRefused(st.address)
	st.cancel(errTooManyClients())
	if st.leaving {
		st.conn.Close()
	}
}

// leave notes that the peer has been told why it is not let in, or is about to be.
func (s *Server) leave(st *startup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.leaving = true
}

// awaitLeaving waits until the connections that have been pushed out are closed: a flood
// must not run out of file descriptors. The lock is held.
func (s *Server) awaitLeaving() {
	for !s.closed && len(s.conns) >= s.maxWALSenders()+s.reservedConnections()+2*s.startupsOf()+leavingSlack {
		s.left.Wait()
	}
}

// endStartup gives the place back, if there is still one. The lock is held.
func (s *Server) endStartup(st *startup) {
	if i := slices.Index(s.startups, st); i >= 0 {
		s.startups = slices.Delete(s.startups, i, i+1)
	}
}

// logRefused tells of a connection without a place, and of those since the last line. The
// lock is held.
func (s *Server) logRefused(address string) {
	s.refused++
	if now := time.Now(); now.Sub(s.refusedLogged) >= refusalLogInterval {
		s.Logger.Warn("too many connections that have not authenticated", zap.String("remote", address), zap.Int("refused", s.refused))
		s.refused, s.refusedLogged = 0, now
	}
}

// sourceOf is what counts as one address: a peer has all those of an IPv6 network of 64
// bits, and can choose among them.
func sourceOf(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return localSource
	}
	ip := tcp.AddrPort().Addr().Unmap()
	if ip.Is6() {
		ip = netip.PrefixFrom(ip.WithZone(""), 64).Masked().Addr()
	}
	return ip.String()
}
