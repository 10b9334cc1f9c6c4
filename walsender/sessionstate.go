package walsender

import (
	"cmp"
	"errors"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
)

// sessionState is the state of a session (§3.1). The end of a session leads out of every
// state: a backup that it leads is aborted (§3.5), one that it has joined goes on (§3.6).
type sessionState int

const (
	// idle: the session is in no backup. Every session begins so. START_BACKUP and
	// JOIN_BACKUP lead out.
	idle sessionState = iota
	// leading: START_BACKUP has taken a place for the session's backup, whose
	// checkpoint may still be awaited. Back to idle leads a START_BACKUP that fails, a
	// STOP_BACKUP that the table has accepted, whether the cluster then stops or not,
	// and the answer that tells that the backup was aborted.
	leading
	// joined: JOIN_BACKUP has found a backup that runs. Back to idle leads the answer
	// that tells that the backup has ended or was aborted.
	joined
)

// membership is a session's part in a backup. The session's goroutine uses it; only
// leads may be called from others.
type membership struct {
	log   *zap.Logger
	ended func(b *sharedstate.Backup, why error) // is told of the end of a backup that the session led

	mu    sync.Mutex
	state sessionState // written under mu

	backup *sharedstate.Backup                       // led or joined; nil while idle
	led    protocol.RunningBackup                    // the led one in the cluster; nil until it is in backup mode
	lost   *atomic.Pointer[protocol.BackupLostError] // why the cluster lost the led one; one for each backup

	last     *sharedstate.Backup // the one last led or joined: its rate holds for WAL (§3.9)
	over     error               // how it ended, once the session was told
	toldRate int                 // what the peer knows of the rate of the led backup
	size     int64               // of the cluster in bytes, as LIST_TABLESPACES PROGRESS last found, or the lists; 0 for never
	sized    bool                // it is that of LIST_TABLESPACES PROGRESS
	listed   int64               // bytes of the lists since that of the data directory
	wrongIDs int                 // unknown ids that the session has named
}

// enter makes the session the leader of the backup, or one that has joined it.
func (m *membership) enter(b *sharedstate.Backup, state sessionState) {
	m.backup, m.last, m.over, m.lost = b, b, nil, new(atomic.Pointer[protocol.BackupLostError])
	m.setState(state)
	if state == leading {
		b.SetTotal(m.size)
		m.toldRate = b.MaxRate
	}
}

// leave takes the session out of its backup, if it is in one. A led backup is aborted
// because of why; a joined one goes on.
func (m *membership) leave(why error) {
	switch m.state {
	case leading:
		m.backup.Abort()
		if m.led != nil {
			m.led.Abort()
		}
		m.ended(m.backup, cmp.Or(why, errLeaderLeft))
	case joined:
		m.backup.Leave()
	}
	m.becomeIdle()
}

// becomeIdle forgets the backup, which the caller has ended or left.
func (m *membership) becomeIdle() {
	m.backup, m.led = nil, nil
	m.setState(idle)
}

func (m *membership) setState(state sessionState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = state
}

// leads reports whether the session leads a backup.
func (m *membership) leads() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state == leading
}

// noteSize notes the size of the cluster, which a client may ask for before it starts
// the backup (§3.8), for the counters of the backup (§6.1).
func (m *membership) noteSize(bytes int64) {
	m.sized = true
	m.setSize(bytes)
}

// noteListed adds up what the leader's lists have found, from the data directory's on, where
// the leader did not ask for sizes before: the clients of this project do not, for it takes a
// walk of its own through all directories. A second set of lists does not begin at nothing.
func (m *membership) noteListed(dataDirectory bool, bytes int64) {
	if m.sized || m.state == joined {
		return
	}
	if dataDirectory {
		m.listed = 0
	}
	m.listed += bytes
	m.setSize(max(m.size, m.listed))
}

func (m *membership) setSize(bytes int64) {
	m.size = bytes
	if m.backup != nil {
		m.backup.SetTotal(bytes)
	}
}

// requireIdle is what START_BACKUP and JOIN_BACKUP need (§3.1).
func (m *membership) requireIdle() error {
	if err := m.noticeEnd(); err != nil {
		return err
	}
	if m.state != idle {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "a backup is already in progress in this session")
	}
	return nil
}

// isOutside reports whether the session is in no backup, and none that it was in has been lost to
// it: what is asked then is no part of one.
func (m *membership) isOutside() bool { return m.state == idle && m.over == nil }

// requireBackup is the backup that the session leads or has joined, or 55000.
func (m *membership) requireBackup() (*sharedstate.Backup, error) {
	if err := m.noticeEnd(); err != nil {
		return nil, err
	}
	switch {
	case m.state != idle:
		return m.backup, nil
	case m.over != nil:
		return nil, toldError{m.over}
	}
	return nil, protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "no backup is in progress in this session").
		WithHint("Use START_BACKUP or JOIN_BACKUP first.")
}

// noticeEnd finds out whether the session's backup has ended or was aborted meanwhile.
// If so the session is idle from now on, and the error tells it (§3.9).
func (m *membership) noticeEnd() error {
	if m.state == idle {
		return nil
	}
	err := m.backup.Err()
	if err == nil {
		return nil
	}
	if lost := m.lost.Load(); lost != nil && m.state == leading {
		err = abortedBy(lost, m.backup)
	}
	m.over = err
	m.leave(err)
	return err
}

// watch takes the led backup's handle in the cluster, and aborts the backup once
// the cluster has lost it.
func (m *membership) watch(led protocol.RunningBackup) {
	m.led = led
	// The session may be in another backup when the reason comes.
	b, reason, lost := m.backup, m.lost, led.Lost()
	go func() { // ends with the backup
		select {
		case <-b.Done():
		case why := <-lost:
			m.log.Error("backup lost", zap.String("backup", protocol.ShortID(b.ID)), zap.Error(why))
			reason.Store(why)
			b.Abort()
		}
	}()
}

// abortedBy is what the leader is told of a backup that was aborted because of err. A
// backup that the cluster has lost was aborted, as the other sessions are told; the
// leader gets the reason besides.
func abortedBy(err error, b *sharedstate.Backup) error {
	lost, isLost := errors.AsType[*protocol.BackupLostError](err)
	aborted, isOver := errors.AsType[*protocol.Error](b.Err())
	if !isLost || !isOver {
		return err
	}
	aborted.Detail = lost.Detail
	return aborted
}

// toldError is an answer that the session has had before: pipelined commands get it one
// after the other.
type toldError struct{ error }

func (e toldError) Unwrap() error { return e.error }
