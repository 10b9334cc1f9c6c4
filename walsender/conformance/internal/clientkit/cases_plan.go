package clientkit

import (
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func planCases() []Case {
	return []Case{{
		Rule:   rule.Must("PLAN/001", "§5.1", "The tablespaces must be known before the backup starts, to tell which are new in the end."),
		checks: []check{succeeds, inOrder("LIST_TABLESPACES", "START_BACKUP")},
	}, {
		Rule:   rule.Must("PLAN/002", "§5.1", "A file that is made between the listing and the checkpoint is neither listed nor in the WAL."),
		checks: []check{succeeds, listedAfterStart},
	}, {
		Rule:   rule.Must("PLAN/003", "§5.1", "A file that is sent twice can be two versions of itself."),
		checks: []check{succeeds, sentOnce},
	}, {
		Rule:     rule.Must("PLAN/004", "§5.2", "Without global/pg_control there is no cluster."),
		scenario: scenario{faults: always(walsendertest.Unlisted(controlFile))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("PLAN/005", "§4.5", "A listing can have thousands of rows."),
		scenario: scenario{sample: func(s *walsendertest.Sample, _ site) { s.Databases, s.SmallFiles = 3, 1500 }},
		checks:   completes(),
	}, {
		Rule:     rule.Must("PLAN/006", "§5.2", "An error can come after any number of rows, and the rows before it are not the listing."),
		scenario: scenario{wrap: func(c *walsendertest.Cluster) walsender.Cluster { return brokenListing{c, 30} }},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("PLAN/007", "§5.2", "A listing ends with CommandComplete: a connection that ends does not end it."),
		scenario: scenario{faults: always(walsendertest.CutCommand("LIST_FILES", 1))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("PLAN/008", "§5.2", "A list of tablespaces that failed is not an empty one."),
		scenario: scenario{faults: always(walsendertest.FailCommand("LIST_TABLESPACES", 2, ioError()))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("PLAN/009", "§5.3", "A server that has too many backups refuses this one."),
		scenario: scenario{faults: always(walsendertest.FailCommand("START_BACKUP", 1, protocol.Errorf(protocol.CodeConfigurationLimitExceeded, "too many backups are running")))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("PLAN/010", "§5.3", "A server that ends during its checkpoint has not started a backup."),
		scenario: scenario{faults: always(walsendertest.CutCommand("START_BACKUP", 1))},
		checks:   refuses(),
	}}
}
