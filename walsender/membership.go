package walsender

import (
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
)

// maxWrongIDs is how many unknown ids a session may name before it is closed
// (§4.2).
const maxWrongIDs = 5

// membership is a session's part in a backup (§3.1).
type membership struct {
	backup   *sharedstate.Backup // led or joined, nil when the session is idle
	leading  bool
	last     *sharedstate.Backup // the one last led or joined: its rate holds for WAL (§3.9)
	gone     error               // what commands get that need the backup which ended under the session
	wrongIDs int
}

// enter makes the session the leader or a member of the backup.
func (s *session) enter(b *sharedstate.Backup, leading bool) {
	s.backup, s.leading, s.last, s.gone = b, leading, b, nil
}

// idle makes the session idle. A backup that is still there must have been ended
// or left by the caller.
func (s *session) idle() { s.backup, s.leading = nil, false }

// requireIdle is what START_BACKUP and JOIN_BACKUP need (§3.1).
func (s *session) requireIdle() error {
	if err := s.learn(); err != nil {
		return err
	}
	if s.backup != nil {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "a backup is already in progress in this session")
	}
	return nil
}

// requireBackup is the backup that the session leads or has joined, or 55000.
func (s *session) requireBackup() (*sharedstate.Backup, error) {
	if err := s.learn(); err != nil {
		return nil, err
	}
	if s.backup != nil {
		return s.backup, nil
	}
	if s.gone != nil {
		return nil, s.gone
	}
	return nil, protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "no backup is in progress in this session").
		WithHint("Use START_BACKUP or JOIN_BACKUP first.")
}

// learn looks whether the session's backup has ended or was aborted under it. If
// so the session is idle from now on, and this is how it is told (§3.9).
func (s *session) learn() error {
	if s.backup == nil {
		return nil
	}
	err := s.backup.Err()
	if err == nil {
		return nil
	}
	s.gone = err
	s.detach()
	return err
}

// detach takes the session out of its backup: a leader's is aborted (which does
// nothing where it has ended), a joined one's goes on (§3.6).
func (s *session) detach() {
	if s.leading {
		s.backup.Abort()
		s.server.Cluster.AbortBackup(s.backup.ID)
	} else {
		s.backup.Leave()
	}
	s.idle()
}

// leave ends the session's part in its backup when the session ends (§3.5).
func (s *session) leave() {
	if s.backup != nil {
		s.detach()
	}
}
