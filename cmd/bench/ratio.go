package main

import (
	"fmt"
	"slices"
	"time"
)

// A ratio is told of so many rounds and more, and up to which scatter.
const fewestRounds, mostScatter = 3, 0.20

// ratio compares two programs that took turns: in each round it is the one's figure divided by
// the other's.
type ratio struct {
	median  float64
	scatter float64 // the distance of the quartiles, as a part of the median
}

// ratioOf is the ratio of figures to those of the same rounds of a baseline: the zero value of too
// few rounds.
func ratioOf(figures, baseline []time.Duration) ratio {
	var rounds []float64
	for i, base := range baseline {
		if base > 0 {
			rounds = append(rounds, float64(figures[i])/float64(base))
		}
	}
	if len(rounds) < fewestRounds {
		return ratio{}
	}
	slices.Sort(rounds)
	r := ratio{median: quantile(rounds, 0.5)}
	if r.median > 0 {
		r.scatter = (quantile(rounds, 0.75) - quantile(rounds, 0.25)) / r.median
	}
	return r
}

// String is the ratio, or how far the rounds scatter where that is too far to tell a ratio.
func (r ratio) String() string {
	switch {
	case r.median == 0:
		return "-"
	case r.scatter > mostScatter:
		return fmt.Sprintf("scatters %.0f %%", r.scatter*100)
	}
	return fmt.Sprintf("%.2f", r.median)
}

// quantile is between the two values next to it in proportion (type 7 of Hyndman and Fan). The
// values are sorted, and there is one at least.
func quantile[T float64 | time.Duration | int64](sorted []T, q float64) T {
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + T((at-float64(low))*float64(sorted[high]-sorted[low]))
}

// median of figures in any order; there is one at least.
func median[T float64 | time.Duration | int64](figures []T) T {
	return quantile(slices.Sorted(slices.Values(figures)), 0.5)
}
