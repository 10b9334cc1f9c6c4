package walsender

import (
	"errors"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
)

// maxWrongIDs is how many unknown ids a session may name before it is closed
// (§4.2).
const maxWrongIDs = 5

// membership is a session's part in a backup (§3.1).
type membership struct {
	backup   *sharedstate.Backup // led or joined, nil when the session is idle
	leading  bool                // set by the session's goroutine under the session's lock, for peerEnded
	last     *sharedstate.Backup // the one last led or joined: its rate holds for WAL (§3.9)
	gone     error               // what commands get that need the backup which ended under the session
	wrongIDs int
	size     int64                                     // bytes, as LIST_TABLESPACES PROGRESS last found; 0 for never
	led      protocol.RunningBackup                    // the backup in the cluster, where the session leads it; nil before it is in backup mode
	lost     *atomic.Pointer[protocol.BackupLostError] // why the cluster lost the backup; one for each backup
}

// enter makes the session the leader or a member of the backup. It ends the session
// where the leader to be has already closed its side (§3.5).
func (s *session) enter(b *sharedstate.Backup, leading bool) {
	s.last, s.gone, s.lost = b, nil, new(atomic.Pointer[protocol.BackupLostError])
	s.mu.Lock()
	s.backup, s.leading = b, leading
	deserted := leading && s.silent
	s.mu.Unlock()
	if leading {
		b.SetTotal(s.size)
	}
	if deserted {
		s.end(errPeerGone)
	}
}

// sized notes the size of the cluster, which may be asked for before the backup
// begins (§3.8), for the counters of the backup (§6.1).
func (s *session) sized(bytes int64) {
	s.size = bytes
	if s.backup != nil {
		s.backup.SetTotal(bytes)
	}
}

// idle makes the session idle. A backup that is still there must have been ended
// or left by the caller.
func (s *session) idle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backup, s.leading, s.led = nil, false, nil
}

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
		return nil, toldError{s.gone}
	}
	return nil, protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "no backup is in progress in this session").
		WithHint("Use START_BACKUP or JOIN_BACKUP first.")
}

// toldError is an answer that the session has had before, as pipelined commands
// get it one after the other.
type toldError struct{ error }

// Unwrap gives errors.Is and errors.As the cause.
func (e toldError) Unwrap() error { return e.error }

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
	if lost := s.lost.Load(); lost != nil && s.leading {
		err = abortedBy(lost, s.backup)
	}
	s.gone = err
	s.detach()
	return err
}

// watch aborts the backup that the session leads once the cluster has lost it.
func (s *session) watch(b *sharedstate.Backup, lost <-chan *protocol.BackupLostError) {
	reason := s.lost // the session may be in another backup by then, with a reason of its own
	go func() {      // ends with the backup
		select {
		case <-b.Done():
		case err := <-lost:
			s.log.Error("backup lost", zap.String("backup", protocol.ShortID(b.ID)), zap.Error(err))
			reason.Store(err)
			b.Abort()
		}
	}()
}

// abortedBy is what the leader is told of a backup that was aborted because of err.
// Where the cluster has lost the backup that is what the other sessions are told, and
// the reason.
func abortedBy(err error, b *sharedstate.Backup) error {
	lost, isLost := errors.AsType[*protocol.BackupLostError](err)
	aborted, isOver := errors.AsType[*protocol.Error](b.Err())
	if !isLost || !isOver {
		return err
	}
	aborted.Detail = lost.Detail
	return aborted
}

// detach takes the session out of its backup: a leader's is aborted (which does
// nothing where it has ended), a joined one's goes on (§3.6).
func (s *session) detach() {
	if s.leading {
		s.backup.Abort()
		if s.led != nil {
			s.led.Abort()
		}
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
