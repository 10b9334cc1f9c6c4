package tarball

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

// Who has waited longest is the next.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns turns
		if !turns.try() || turns.try() {
			t.Fatal("the first turn is not one's alone")
		}
		var order []int
		for i := range 5 {
			go func() {
				<-turns.ask()
				order = append(order, i)
				turns.pass()
			}()
			synctest.Wait() // it has asked
		}
		turns.pass()
		synctest.Wait()
		for i, got := range order {
			if got != i || len(order) != 5 {
				t.Fatalf("the order is %v", order)
			}
		}
		if !turns.try() {
			t.Error("the turn was not given back")
		}
	})
}

// A large member does not wait until another that is on its way is complete.
func TestArchive_LargeMembersDoNotWait(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "archive")
	outputtest.Must(t, err)
	a := newTarStream(f, Compression{Method: CompressionZstd})
	a.file, a.spill = f, func() (*os.File, error) { return os.CreateTemp(t.TempDir(), "spill") }
	large := strings.Repeat("l", maxBatch+1)
	open := func(name string) *tarEntry {
		e, err := newTarEntry(a, &batches{}, tarHeader{name: name, kind: tarRegular, size: int64(len(large))})
		outputtest.Must(t, err)
		return e
	}
	first, second, third := open("first"), open("second"), open("third")
	for _, e := range []*tarEntry{third, second, first} {
		_, err := e.Add([]byte(large))
		outputtest.Must(t, err)
	}
	outputtest.Must(t, third.Discard())
	outputtest.Must(t, first.Finish(nil))
	outputtest.Must(t, second.Finish(nil))
	outputtest.Must(t, a.finish(&batches{}))
	got := outputtest.Members(t, outputtest.Unzstd(t, []byte(outputtest.Read(t, f.Name()))))
	if len(got) != 2 || got["first"] != large || got["second"] != large {
		t.Errorf("%d members, with %d and %d bytes", len(got), len(got["first"]), len(got["second"]))
	}
}

// Who waits long for its turn has something done meanwhile, and tells that it has waited.
func TestArchive_WaitingReadsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		a := newTarStream(&out, Compression{})
		calls := 0
		s := &tarSink{batches: &batches{}}
		s.Meanwhile(func() { calls++ })
		a.turns.try() // somebody else's
		go func() {
			time.Sleep(85 * time.Second)
			a.turns.pass()
		}()
		a.await(s.batches)
		if calls != 4 {
			t.Errorf("%d calls in 85 seconds", calls)
		}
		if !s.HasWaited() || s.HasWaited() {
			t.Error("that it has waited is not told once")
		}
	})
}
