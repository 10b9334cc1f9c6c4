package conformance

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
)

// Select are the cases that the patterns stand for: IDs, areas or patterns of
// [path.Match]; without patterns all. The error is [ErrNothingSelected] for a pattern that
// no case matches, with its text, or that of a malformed pattern.
func Select(cases []Case, patterns []string) ([]Case, error) {
	return selectCases(cases, patterns)
}

// matches reports whether an ID is one of those that the patterns stand for: an ID, an
// area (WAL), or a pattern of [path.Match]. None stands for all.
func matches(patterns []string, id string) bool {
	for _, p := range patterns {
		if found, _ := path.Match(p, id); found || strings.HasPrefix(id, p+"/") {
			return true
		}
	}
	return len(patterns) == 0
}

// checkPatterns is the error of the first pattern that is malformed, or that stands for
// none of the cases: a mistake in writing must not go unnoticed.
func checkPatterns[C interface{ id() string }](all []C, patterns []string) error {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("malformed pattern %q: %w", p, err)
		}
		if !slices.ContainsFunc(all, func(c C) bool { return matches([]string{p}, c.id()) }) {
			return fmt.Errorf("%w %s", ErrNothingSelected, p)
		}
	}
	return nil
}

// listed is matches for a list that may be empty, which stands for nothing.
func listed(patterns []string, id string) bool {
	return len(patterns) > 0 && matches(patterns, id)
}

func selectCases[C interface{ id() string }](all []C, patterns []string) ([]C, error) {
	if err := checkPatterns(all, patterns); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(all), func(c C) bool { return !matches(patterns, c.id()) }), nil
}

func (c Case) id() string { return c.ID }

// shuffle decides the order of the cases. Those that take long come first, so that none
// of them is what the others have to wait for.
func shuffle(cases []clientCase, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
	slices.SortStableFunc(cases, func(a, b clientCase) int {
		switch {
		case a.slow == b.slow:
			return 0
		case a.slow:
			return -1
		}
		return 1
	})
}
