package sharedstate

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
)

const (
	hammerLimit   = 4
	hammerLeaders = 8
	hammerRounds  = 300
)

// TestTable_3_Hammer lets leaders, joined sessions and an aborter loose on one
// table and holds them to what the table promises.
func TestTable_3_Hammer(t *testing.T) {
	table := NewTable(hammerLimit)
	var places atomic.Int64 // taken, as the leaders know it
	var stopped, refused atomic.Int64
	var wg sync.WaitGroup
	for leader := range uint64(hammerLeaders) {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(leader, 0))
			for range hammerRounds {
				b, err := table.Start(request)
				if err != nil {
					refused.Add(1)
					runtime.Gosched()
					continue
				}
				if taken := places.Add(1); taken > hammerLimit {
					t.Errorf("%d backups in a table of %d", taken, hammerLimit)
				}
				if hammerBackup(t, table, b, random, func() { places.Add(-1) }) {
					stopped.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if left := table.Backups(); len(left) != 0 {
		t.Errorf("left in the table: %v", left)
	}
	if stopped.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d backups stopped, %d refused: some of it was not tried", stopped.Load(), refused.Load())
	}
}

// hammered is a backup as its sessions know it.
type hammered struct {
	*Backup
	table    *Table
	sending  atomic.Int64 // SEND_FILE commands at work
	begun    atomic.Int64 // data files
	control  atomic.Int64 // what begun was when pg_control was last sent
	accepted atomic.Bool  // whether a Stop was
}

// hammerBackup runs one backup to its end and reports whether it was stopped.
// leaving is called before the backup leaves the table.
func hammerBackup(t *testing.T, table *Table, b *Backup, random *rand.Rand, leaving func()) (stopped bool) {
	h := &hammered{Backup: b, table: table}
	leave := sync.OnceFunc(leaving)
	var sessions sync.WaitGroup
	defer sessions.Wait()
	if err := b.Started(started, true); err != nil {
		t.Error(err)
	}
	for i := range 3 {
		sessions.Go(func() { h.session(t, i) })
	}
	if random.IntN(4) == 0 {
		sessions.Go(func() { leave(); b.Abort() })
	}
	for {
		switch err := b.Stop(); {
		case err == nil:
			h.accepted.Store(true)
			if n := h.sending.Load(); n != 0 {
				t.Errorf("stopped with %d files at work", n)
			}
			if before, begun := h.control.Load(), h.begun.Load(); before != begun {
				t.Errorf("stopped with pg_control sent after %d of %d files", before, begun)
			}
			runtime.Gosched()
			leave()
			b.End()
			return true
		case b.Err() != nil:
			return false
		}
		runtime.Gosched()
	}
}

// session sends files until it is told that the backup is stopping or over.
func (h *hammered) session(t *testing.T, number int) {
	joined, err := h.table.Join(h.ID, request.Owner, request.Directory)
	if err != nil {
		return
	}
	defer func() { <-joined.Done() }()
	defer joined.Leave()
	for i := number; ; i++ {
		late := h.accepted.Load()
		kind := DataFile
		if i%3 == 0 {
			kind = ControlFile
		}
		end, err := joined.BeginFile(kind)
		if protocol.HasCode(err, protocol.CodeObjectInUse) {
			runtime.Gosched()
			continue
		}
		if err != nil {
			return
		}
		if late {
			t.Error("a file began after the stop")
		}
		if n := h.sending.Add(1); n != 1 && kind == ControlFile {
			t.Errorf("pg_control is sent beside %d other files", n-1)
		}
		if kind == ControlFile {
			h.control.Store(h.begun.Load())
		} else {
			h.begun.Add(1)
		}
		if n := len(h.table.Backups()); n > hammerLimit {
			t.Errorf("%d backups in a table of %d", n, hammerLimit)
		}
		h.sending.Add(-1)
		end(true)
		runtime.Gosched()
	}
}
