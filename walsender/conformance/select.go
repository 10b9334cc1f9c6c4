package conformance

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// ErrNothingSelected is returned, wrapped, where a pattern of [Options] or
// [ServerOptions] matches no case: what tests nothing must not look like a success.
var ErrNothingSelected = errors.New("no case matches")

// Select are the cases that the patterns stand for: IDs, areas or patterns of
// [path.Match]; without patterns all. The error is [ErrNothingSelected] for a pattern that
// no case matches, with its text, or that of a malformed pattern.
func Select(cases []Case, patterns []string) ([]Case, error) {
	if err := checkPatterns(cases, patterns); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(cases), func(c Case) bool { return !matches(patterns, c.ID) }), nil
}

// checkSelection is the first error of the three lists that a run is given.
func checkSelection(cases []Case, selected, notSupported, knownFailing []string) error {
	if err := checkPatterns(cases, selected); err != nil {
		return err
	}
	return errors.Join(checkPatterns(cases, notSupported), checkPatterns(cases, knownFailing))
}

// checkPatterns is the error of the first pattern that is malformed, or that stands for
// none of the cases: a mistake in writing must not go unnoticed.
func checkPatterns(cases []Case, patterns []string) error {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("malformed pattern %q: %w", p, err)
		}
		if !slices.ContainsFunc(cases, func(c Case) bool { return listed([]string{p}, c.ID) }) {
			if slices.ContainsFunc(cases, func(c Case) bool { return listed([]string{"S-" + p}, c.ID) }) {
				area, _, _ := strings.Cut(p, "/")
				return fmt.Errorf("%w %s: cases for servers are named S-%s/…", ErrNothingSelected, p, area)
			}
			return fmt.Errorf("%w %s", ErrNothingSelected, p)
		}
	}
	return nil
}

// matches reports whether the patterns stand for an ID. No pattern stands for all.
func matches(patterns []string, id string) bool {
	return len(patterns) == 0 || listed(patterns, id)
}

// listed reports whether one of the patterns stands for an ID: the ID, its area (WAL), or
// a pattern of [path.Match].
func listed(patterns []string, id string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		found, _ := path.Match(p, id)
		return found || strings.HasPrefix(id, p+"/")
	})
}
