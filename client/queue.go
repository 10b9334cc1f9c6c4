package client

import "sync"

// queue is the files still to be sent, from which each worker takes the next when
// it has room for it. A file that a lost connection owed is put back.
type queue struct {
	mu      sync.Mutex
	changed sync.Cond
	order   []int32 // indexes of files, the next first
	again   []int32 // those that were put back; they go first
	open    int     // files that nobody has received yet
	closed  bool
	idle    int // workers that wait in take
	lent    int // that somebody has borrowed meanwhile
}

func newQueue(order []int32) *queue {
	q := &queue{order: order, open: len(order)}
	q.changed.L = &q.mu
	return q
}

// take is the next file. Where there is none, it reports false; with wait it does
// so only when no file can come back any more.
func (q *queue) take(wait bool) (int32, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for wait && !q.closed && q.open > 0 && len(q.order)+len(q.again) == 0 {
		q.idle++
		q.changed.Wait()
		q.idle--
	}
	if q.closed {
		return 0, false
	}
	list := &q.order
	if len(q.again) > 0 {
		list = &q.again
	}
	if len(*list) == 0 {
		return 0, false
	}
	next := (*list)[0]
	*list = (*list)[1:]
	return next, true
}

// left is how many files wait to be taken.
func (q *queue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.order) + len(q.again)
}

// borrow reports whether there is a worker that waits for a file, in whose place another
// goroutine may work, until it calls giveBack. Should a file come back meanwhile, both work.
func (q *queue) borrow() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lent >= q.idle {
		return false
	}
	q.lent++
	return true
}

func (q *queue) giveBack() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lent--
}

// done says that a taken file is dealt with.
func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open--; q.open == 0 {
		q.changed.Broadcast()
	}
}

// putBack returns a taken file.
func (q *queue) putBack(i int32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.again = append(q.again, i)
	q.changed.Signal()
}

// close wakes all who wait; nothing can be taken any more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}
