package tarball

import "sync"

// turns lets one worker at a time do something, in the order in which the workers asked.
type turns struct {
	mu    sync.Mutex
	taken bool
	queue []chan struct{} // of those who wait; closed when it is their turn
}

// try takes the turn if nobody has it.
func (t *turns) try() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken {
		return false
	}
	t.taken = true
	return true
}

// ask asks for the turn, which has come when the channel is closed.
func (t *turns) ask() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	come := make(chan struct{})
	if t.taken {
		t.queue = append(t.queue, come)
		return come
	}
	t.taken = true
	close(come)
	return come
}

// pass gives the turn to the next.
func (t *turns) pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		t.taken = false
		return
	}
	close(t.queue[0])
	t.queue = t.queue[1:]
}
