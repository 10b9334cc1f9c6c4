// Package guesses slows down who guesses passwords or ids of backups (§1.10, §4.2).
package guesses

import (
	"math"
	"sync"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// MaxIDs is how many unknown ids a session may name before it is closed (§4.2).
const MaxIDs = 5

// MaxIDDoublings is how often the delay of the answer to wrong ids of backups, which are long
// enough by themselves, doubles at most.
const MaxIDDoublings = 2

const (
	// guessForgotten is how long it takes until one wrong guess is forgotten.
	guessForgotten = 10 * time.Second
	// maxDoublings bounds the delay, to 16 times the first: a client that gives up before
	// the answer cannot tell its user that the password is wrong.
	maxDoublings = 4
	// maxGuessers bounds the memory that guessing costs the server.
	maxGuessers = 4096
)

// Counter counts the wrong passwords and ids of late, by the address and by the role that
// they come from: who guesses over many sessions is slowed down as in one (§1.10, §4.2).
// Only wrong guesses are answered late, so nobody is kept out by those of others. The zero
// value has counted none; any number of goroutines may use it.
type Counter struct {
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

// Count counts a wrong guess of what, as "password", and returns how many there were of late from its address or
// by its role, whichever are more.
func (g *Counter) Count(what, address, role string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wrong == nil {
		g.wrong = map[guesser]guessCount{}
	}
	now, most := time.Now(), 0.0
	for _, by := range []guesser{{what, "address", address}, {what, "role", protocol.Shorten(role, 64)}} {
		n := min(g.wrong[by].now(now)+1, MaxIDs+2*maxDoublings) // so that it is forgotten some day
		g.makeRoom(now)
		g.wrong[by] = guessCount{n, now}
		most = max(most, n)
	}
	return int(math.Ceil(most))
}

// makeRoom forgets whom there is nothing to tell of any more, or else who guessed least.
func (g *Counter) makeRoom(now time.Time) {
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

// Delay is how long the answer to the n-th wrong guess is held back, where that to the first is
// held back for first: twice as long with each guess, and not at all for n below 1.
func Delay(first time.Duration, n int) time.Duration {
	if n < 1 {
		return 0
	}
	return max(first, 0) << min(n-1, maxDoublings)
}
