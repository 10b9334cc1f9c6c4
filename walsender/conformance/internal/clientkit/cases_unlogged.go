package clientkit

import (
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// unloggedCases are about a relation whose _init fork is made while its other forks are
// copied, as that of an index on an unlogged table is.
func unloggedCases() []Case {
	becomes := func(afterStop bool) scenario {
		return scenario{state: running, wrap: func(c *walsendertest.Cluster) walsender.Cluster {
			return &newInitFork{Cluster: c, path: initFork, afterStop: afterStop}
		}}
	}
	checks := []check{succeeds, whole(tolerance{empty: []string{initFork}}), manifestFits, inManifest(initFork)}
	return []Case{{
		Rule:     rule.Must("UNLOGGED/001", "§5.14", "A relation that becomes unlogged needs an empty _init fork in the copy, which does not start otherwise: it is looked for before STOP_BACKUP."),
		scenario: becomes(false),
		checks:   checks,
	}, {
		Rule:     rule.Must("UNLOGGED/002", "§5.14", "The _init fork may be made in the moment of STOP_BACKUP: it is looked for once more after it."),
		scenario: becomes(true),
		checks:   checks,
	}}
}

// initFork is the fork by which a relation is unlogged.
const initFork = relation + "_init"
