package sharedstate

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
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

// hammerBackup runs one backup to its end and reports whether it was stopped.
// leaving is called before the backup leaves the table.
func hammerBackup(t *testing.T, table *Table, b *Backup, random *rand.Rand, leaving func()) (stopped bool) {
	var sending atomic.Int64 // SEND_FILE commands at work, as the sessions know it
	var accepted atomic.Bool // whether a Stop was
	leave := sync.OnceFunc(leaving)
	var sessions sync.WaitGroup
	defer sessions.Wait()
	if err := b.Started(started, false); err != nil {
		t.Error(err)
	}
	for range 3 {
		sessions.Go(func() { hammerSession(t, table, b, &sending, &accepted) })
	}
	if random.IntN(4) == 0 {
		sessions.Go(func() { leave(); b.Abort() })
	}
	for {
		switch err := b.Stop(); {
		case err == nil:
			accepted.Store(true)
			if n := sending.Load(); n != 0 {
				t.Errorf("stopped with %d files at work", n)
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

// hammerSession sends files until it is told that the backup is stopping or over.
func hammerSession(t *testing.T, table *Table, b *Backup, sending *atomic.Int64, accepted *atomic.Bool) {
	joined, err := table.Join(b.ID, request.Owner, request.Directory)
	if err != nil {
		return
	}
	defer func() { <-joined.Done() }()
	defer joined.Leave()
	for {
		late := accepted.Load()
		end, err := joined.BeginFile(DataFile)
		if err != nil {
			return
		}
		if late {
			t.Error("a file began after the stop")
		}
		sending.Add(1)
		if n := len(table.Backups()); n > hammerLimit {
			t.Errorf("%d backups in a table of %d", n, hammerLimit)
		}
		sending.Add(-1)
		end(true)
		runtime.Gosched()
	}
}
