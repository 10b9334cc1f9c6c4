package client

import (
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the workers do, each file is taken again until it is done, in the order
// of the queue, those that were put back first.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 20).Draw(t, "files")
		order := make([]int32, n)
		for i := range order {
			order[i] = int32(i)
		}
		q := newQueue(order)
		waiting := append([]int32(nil), order...)
		var again, taken []int32
		done := 0
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				got, ok := q.take(false)
				want := &waiting
				if len(again) > 0 {
					want = &again
				}
				if ok != (len(*want) > 0) {
					t.Fatalf("take = %v with %d waiting", ok, len(*want))
				}
				if ok {
					if got != (*want)[0] {
						t.Fatalf("take = %d, want %d", got, (*want)[0])
					}
					*want = (*want)[1:]
					taken = append(taken, got)
				}
			},
			"put back": func(t *rapid.T) {
				if len(taken) == 0 {
					t.Skip()
				}
				q.putBack(taken[0])
				again, taken = append(again, taken[0]), taken[1:]
			},
			"done": func(t *rapid.T) {
				if len(taken) == 0 {
					t.Skip()
				}
				q.done()
				taken = taken[1:]
				done++
			},
			"": func(t *rapid.T) {
				if q.left() != len(waiting)+len(again) {
					t.Fatalf("left = %d, want %d", q.left(), len(waiting)+len(again))
				}
				if done == n {
					if _, ok := q.take(true); ok {
						t.Fatal("there is a file when all are done")
					}
				}
			},
		})
	})
}

// A worker that waits gets what another puts back, and is let go when all is done.
func TestQueue_Wait(t *testing.T) {
	q := newQueue([]int32{7})
	q.take(false)
	got := make(chan int32)
	go func() {
		i, _ := q.take(true)
		got <- i
		_, ok := q.take(true)
		if ok {
			t.Error("there is a file when all are done")
		}
		close(got)
	}()
	q.putBack(7)
	if i := <-got; i != 7 {
		t.Errorf("took %d", i)
	}
	q.done()
	<-got
}

func TestQueue_Close(t *testing.T) {
	q := newQueue([]int32{1, 2})
	q.take(false)
	q.close()
	if _, ok := q.take(true); ok {
		t.Error("took a file from a closed queue")
	}
}

// A place can be borrowed for as long as somebody waits, once for each.
func TestQueue_Borrow(t *testing.T) {
	q := newQueue([]int32{1})
	if _, ok := q.take(true); !ok || q.borrow() {
		t.Fatal("nobody waits")
	}
	taken := make(chan bool)
	go func() { // ends when the queue is closed
		_, ok := q.take(true)
		taken <- ok
	}()
	for !q.borrow() { // until the other one waits
		runtime.Gosched()
	}
	if q.borrow() {
		t.Error("one place was borrowed twice")
	}
	q.giveBack()
	if !q.borrow() {
		t.Error("a place that was given back cannot be borrowed")
	}
	q.close()
	if <-taken {
		t.Error("a closed queue has a file")
	}
}
