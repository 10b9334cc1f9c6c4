package walsendertest

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// WrongID has START_BACKUP tell an id that no JOIN_BACKUP is taken with.
func WrongID() Fault {
	const other = "00000000000000000000000000000000"
	return sessionFault("WrongID()", func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			var row pgproto3.DataRow
			if m.answer.verb != "START_BACKUP" || m.kind != 'D' || row.Decode(m.body) != nil || len(row.Values) != 4 || !f.happens(s) {
				return next(m)
			}
			values := slices.Clone(row.Values)
			values[3] = []byte(other)
			return next(m.say(&pgproto3.DataRow{Values: values}))
		}
	})
}

// LeaderLost cuts the connection of the backup's leader after n bytes of the file,
// whichever session sends that.
func LeaderLost(path string, n int64) Fault {
	return atByte(fmt.Sprintf("LeaderLost(%q, %d)", path, n), path, n, func(s *session, rest message, next sender) error {
		s.server.loseLeader()
		return next(rest)
	})
}

// Promotion promotes the standby when the file is asked for: that file may still be
// sent, every later one is 55000 (§4.6), and so is a long one after a second.
func Promotion(path string) Fault {
	return Fault{text: fmt.Sprintf("Promotion(%q)", path), times: 1, cluster: func(l layer, f *armedFault) walsender.Cluster {
		return &promoted{layer: l, fault: f, path: path}
	}}
}

type promoted struct {
	layer
	fault *armedFault
	path  string
	done  atomic.Bool
}

func (p *promoted) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	if name == p.path && p.fault.happens(nil) {
		p.done.Store(true)
	}
	return p.layer.Open(ctx, name, o)
}

func (p *promoted) InRecovery(ctx context.Context) (bool, error) {
	in, err := p.layer.InRecovery(ctx)
	return in && !p.done.Load(), err
}

// StopFails has STOP_BACKUP fail with the error, before any row.
func StopFails(failure *protocol.Error) Fault {
	return Fault{text: fmt.Sprintf("StopFails(%s)", failure.Code), times: 1, cluster: func(l layer, f *armedFault) walsender.Cluster {
		return stopFails{l, f, failure}
	}}
}

type stopFails struct {
	layer
	fault   *armedFault
	failure *protocol.Error
}

func (s stopFails) StartBackup(ctx context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	start, b, err := s.layer.StartBackup(ctx, r)
	return start, stopping{b, func(ctx context.Context, wait bool, notice protocol.NoticeFunc) (protocol.BackupStop, error) {
		if s.fault.happens(nil) {
			b.Abort()
			return protocol.BackupStop{}, s.failure
		}
		return b.Stop(ctx, wait, notice)
	}}, err
}

// LateErrorAtStop has the error after the row and the CommandComplete of STOP_BACKUP,
// where that of wrong page checksums comes (§4.3).
func LateErrorAtStop(failure *protocol.Error) Fault {
	return sessionFault(fmt.Sprintf("LateErrorAtStop(%s)", failure.Code), func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			if m.answer.verb != "STOP_BACKUP" || m.kind != 'C' || !f.happens(s) {
				return next(m)
			}
			if err := next(m); err != nil {
				return err
			}
			return m.fail(failure, next)
		}
	})
}
