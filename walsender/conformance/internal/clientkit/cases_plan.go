package conformance

import (
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func planCases() []clientCase {
	return []clientCase{{
		Case:  Case{"PLAN/001", "§5.1", Must, "The tablespaces must be known before the backup starts, to tell which are new in the end."},
		judge: []check{succeeds, inOrder("LIST_TABLESPACES", "START_BACKUP")},
	}, {
		Case:  Case{"PLAN/002", "§5.1", Must, "A file that is made between the listing and the checkpoint is neither listed nor in the WAL."},
		judge: []check{succeeds, listedAfterStart},
	}, {
		Case:  Case{"PLAN/003", "§5.1", Must, "A file that is sent twice can be two versions of itself."},
		judge: []check{succeeds, sentOnce},
	}, {
		Case:     Case{"PLAN/004", "§5.2", Must, "Without global/pg_control there is no cluster."},
		scenario: scenario{faults: always(walsendertest.Unlisted(controlFile))},
		judge:    refuses(),
	}, {
		Case:     Case{"PLAN/005", "§4.5", Must, "A listing can have thousands of rows."},
		scenario: scenario{sample: func(s *walsendertest.Sample, _ site) { s.Databases, s.SmallFiles = 3, 1500 }},
		judge:    completes(),
	}, {
		Case:     Case{"PLAN/006", "§5.2", Must, "An error can come after any number of rows, and the rows before it are not the listing."},
		scenario: scenario{wrap: func(c *walsendertest.Cluster) walsender.Cluster { return brokenListing{c, 30} }},
		judge:    refuses(),
	}, {
		Case:     Case{"PLAN/007", "§5.2", Must, "A listing ends with CommandComplete: a connection that ends does not end it."},
		scenario: scenario{faults: always(walsendertest.CutCommand("LIST_FILES", 1))},
		judge:    refuses(),
	}, {
		Case:     Case{"PLAN/008", "§5.2", Must, "A list of tablespaces that failed is not an empty one."},
		scenario: scenario{faults: always(walsendertest.FailCommand("LIST_TABLESPACES", 2, ioError()))},
		judge:    refuses(),
	}, {
		Case:     Case{"PLAN/009", "§5.3", Must, "A server that has too many backups refuses this one."},
		scenario: scenario{faults: always(walsendertest.FailCommand("START_BACKUP", 1, protocol.Errorf(protocol.CodeConfigurationLimitExceeded, "too many backups are running")))},
		judge:    refuses(),
	}, {
		Case:     Case{"PLAN/010", "§5.3", Must, "A server that ends during its checkpoint has not started a backup."},
		scenario: scenario{faults: always(walsendertest.CutCommand("START_BACKUP", 1))},
		judge:    refuses(),
	}}
}
