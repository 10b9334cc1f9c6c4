package sharedstate

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// defaultMaxBackups is max_concurrent_backups unless configured (§3.4).
const defaultMaxBackups = 10

// Table holds the running backups of a server by their ids (§3.2). Its methods
// may be called from many goroutines at once; none of them blocks. Make one with
// [NewTable].
type Table struct {
	limit  int
	counts counts // of all backups together

	// mu guards backups and the state of each of them. Nothing blocks, and
	// nobody else's code runs, while it is held.
	mu      sync.Mutex
	backups map[string]*Backup
}

// NewTable makes an empty table for at most maxBackups backups at a time
// (max_concurrent_backups, §3.4). Zero and less mean 10.
func NewTable(maxBackups int) *Table {
	if maxBackups <= 0 {
		maxBackups = defaultMaxBackups
	}
	return &Table{limit: maxBackups, backups: make(map[string]*Backup)}
}

// Request is what [Table.Start] needs to know of a backup.
type Request struct {
	Owner     string // the leader's role; only its sessions can join
	Label     string // as START_BACKUP gave it; may be empty
	Directory string // names the data directory (§4.2); sessions join where it is the same
	// MaxRate is in kB of 1024 bytes a second for all sessions together, 0 for no limit.
	// It is the rate at the start: [Table.SetRate] changes what holds.
	MaxRate int
}

// Start gives a backup a place in the table, before its checkpoint (§3.4). The
// backup is [Starting] and cannot be joined until [Backup.Started]. The caller is
// its leader and sees to it that End or Abort is called. When the table is full
// the error is 53400.
func (t *Table) Start(r Request) (*Backup, error) {
	b := &Backup{
		Request:  r,
		ID:       newID(),
		Began:    time.Now(),
		table:    t,
		state:    Starting,
		done:     make(chan struct{}),
		throttle: newThrottle(r.MaxRate),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.checkRoom(); err != nil {
		return nil, err
	}
	t.backups[b.ID] = b
	return b, nil
}

// CheckRoom returns the error that Start would return now: 53400 when the table is full.
func (t *Table) CheckRoom() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.checkRoom()
}

// checkRoom is CheckRoom for those who hold mu.
func (t *Table) checkRoom() error {
	if len(t.backups) < t.limit {
		return nil
	}
	return protocol.Errorf(protocol.CodeConfigurationLimitExceeded,
		"too many concurrent backups (max_concurrent_backups is %d)", t.limit).
		WithHint("Wait for one of them to end, or raise max_concurrent_backups.")
}

// Limit is how many backups there may be at a time.
func (t *Table) Limit() int { return t.limit }

// Join gives a session the backup with this id (§4.2) and counts the session as
// joined; the caller calls [Backup.Leave] once when the session goes. owner is
// the session's role, directory names the data directory that it reads.
//
// 42704 is the answer to an unknown id, to one of another role's backup and to one
// that has not started yet, so that none can be told from the others. 55000 comes
// when the directories differ or the backup is being stopped.
func (t *Table) Join(id, owner, directory string) (*Backup, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, found := t.backups[id]
	if !found || b.Owner != owner || b.state == Starting {
		return nil, protocol.Errorf(protocol.CodeUndefinedObject, "backup %q does not exist", protocol.ShortID(id))
	}
	if b.Directory != directory {
		return nil, b.refusef("backup %q is of another data directory")
	}
	if err := b.checkRunning(); err != nil {
		return nil, err
	}
	for _, c := range b.counted() {
		c.sessionsJoined.Add(1)
	}
	return b, nil
}

// SetRate changes the rate of the running backup whose id begins with prefix, of 8
// characters (§8.2). owner is the role that asks; anybody means that it may change the
// rate of every role's backups. kBps is as in [Request].
//
// 42704 is the answer to a prefix of another length, of no backup, of more than one, and
// of another role's, so that none can be told from the others.
func (t *Table) SetRate(prefix, owner string, anybody bool, kBps int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found *Backup
	for id, b := range t.backups {
		if len(prefix) != shortLength || !strings.HasPrefix(id, prefix) || !anybody && b.Owner != owner {
			continue
		}
		if found != nil {
			found = nil
			break
		}
		found = b
	}
	if found == nil {
		return protocol.Errorf(protocol.CodeUndefinedObject, "backup %q does not exist", protocol.ShortID(prefix))
	}
	found.SetRate(kBps)
	return nil
}

// shortLength is how many characters of an id are shown.
const shortLength = 8

// Status is one running backup as monitoring shows it.
type Status struct {
	ID         string // shortened by [protocol.ShortID]
	Owner      string
	Label      string
	State      State
	Began      time.Time         // when START_BACKUP took its place
	StartPtr   protocol.LSN      // 0 while Starting
	Timeline   protocol.Timeline // 0 while Starting
	InRecovery bool              // false while Starting
	MaxRate    int               // the rate that holds, in kB of 1024 bytes a second; 0 for no limit
	Counters
}

// Backups lists the running backups of every role, the oldest first (§6.1). It is
// for the server's operator, not for its peers (§3.3).
func (t *Table) Backups() []Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]Status, 0, len(t.backups))
	for _, b := range t.backups {
		list = append(list, b.status())
	}
	slices.SortFunc(list, func(a, b Status) int {
		return cmp.Or(a.Began.Compare(b.Began), cmp.Compare(a.ID, b.ID))
	})
	return list
}
