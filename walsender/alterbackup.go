package walsender

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
)

// alterBackup answers ALTER_BACKUP (§8.2).
func (s *session) alterBackup(c grammar.AlterBackup) error {
	if err := s.setRate(c); err != nil {
		return err
	}
	s.log.Info("rate of a backup changed", zap.String("of", protocol.ShortID(c.Backup)), zap.Int("max_rate", c.MaxRate))
	return s.complete("ALTER_BACKUP")
}

func (s *session) setRate(c grammar.AlterBackup) error {
	if c.Backup != "" {
		return s.server.Backups.SetRate(c.Backup, s.user, s.grant.Monitor, c.MaxRate)
	}
	b, err := s.member.requireBackup()
	if err != nil {
		return err
	}
	if !s.member.leads() {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "this session does not lead the backup").
			WithHint("Name the backup by the first 8 characters of its id.")
	}
	b.SetRate(c.MaxRate)
	return nil
}

// awaitMessage is the next message of the peer. While it is awaited, the leader of a backup
// is told of another rate (§8.2).
func (s *session) awaitMessage(ctx context.Context) (kind byte, body []byte, err error) {
	for {
		changed, err := s.tellRate()
		if err != nil {
			return 0, nil, err
		}
		kind, body, err = s.in.NextUnless(ctx, changed)
		if !errors.Is(err, peer.ErrWoken) {
			return kind, body, err
		}
		if _, err = s.tellRate(); err == nil {
			err = s.out.flush()
		}
		if err != nil {
			return 0, nil, err
		}
		s.out.rest()
	}
}

// tellRate tells the leader of a backup its rate if it knows another. What it returns is
// closed when the rate changes again; nil where the session leads no backup.
func (s *session) tellRate() (changed <-chan struct{}, err error) {
	if s.member.state != leading {
		return nil, nil
	}
	rate, changed := s.member.backup.Rate()
	if rate == s.member.toldRate {
		return changed, nil
	}
	s.member.toldRate = rate
	return changed, s.out.send(&pgproto3.ParameterStatus{Name: protocol.ParameterMaxRate, Value: strconv.Itoa(rate)})
}
