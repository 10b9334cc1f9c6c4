package walsender

import (
	"cmp"
	"context"
	"math"
	"sync"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

const (
	// guessForgotten is how long it takes until one wrong guess is forgotten.
	guessForgotten = 10 * time.Second
	// maxDoublings bounds the delay, to 16 times the first: a client that gives up before
	// the answer cannot tell its user that the password is wrong.
	maxDoublings = 4
	// maxIDDoublings is the same for wrong ids of backups, which are long enough by
	// themselves.
	maxIDDoublings = 2
	// maxGuessers bounds the memory that guessing costs the server.
	maxGuessers = 4096
)

// guesses counts the wrong passwords and ids of late, by the address and by the role that
// they come from: who guesses over many sessions is slowed down as in one (§1.10, §4.2).
// Only wrong guesses are answered late, so nobody is kept out by those of others.
type guesses struct {
	mu    sync.Mutex
	wrong map[guesser]guessCount
}

// guesser is what is guessed, and who guesses: "address" or "role" with its name.
type guesser struct{ what, by, name string }

type guessCount struct {
	n  float64 // falls by one every guessForgotten
	at time.Time
}

func (c guessCount) now(now time.Time) float64 {
	return max(0, c.n-now.Sub(c.at).Seconds()/guessForgotten.Seconds())
}

// count counts a wrong guess, and returns how many there were of late from its address or
// by its role, whichever are more.
func (g *guesses) count(what, address, role string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wrong == nil {
		g.wrong = map[guesser]guessCount{}
	}
	now, most := time.Now(), 0.0
	for _, by := range []guesser{{what, "address", address}, {what, "role", protocol.Shorten(role, 64)}} {
		n := min(g.wrong[by].now(now)+1, maxWrongIDs+2*maxDoublings) // so that it is forgotten some day
		g.makeRoom(now)
		g.wrong[by] = guessCount{n, now}
		most = max(most, n)
	}
	return int(math.Ceil(most))
}

// makeRoom forgets whom there is nothing to tell of any more, or else who guessed least.
func (g *guesses) makeRoom(now time.Time) {
	if len(g.wrong) < maxGuessers {
		return
	}
	var least guesser
	fewest := math.Inf(1)
	for by, count := range g.wrong {
		n := count.now(now)
		if n == 0 {
			delete(g.wrong, by)
		} else if n < fewest {
			least, fewest = by, n
		}
	}
	if len(g.wrong) >= maxGuessers {
		delete(g.wrong, least)
	}
}

// holdBack waits as long as the answer to the n-th wrong guess is held back, or until ctx
// ends. The wait doubles with each guess; there is none for n below 1.
func (s *Server) holdBack(ctx context.Context, n int) {
	first := cmp.Or(s.AuthFailureDelay, DefaultAuthFailureDelay)
	if n < 1 || first <= 0 {
		return
	}
	delay := time.NewTimer(first << min(n-1, maxDoublings))
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-ctx.Done():
	}
}
