package clientkit

import (
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func tablespaceCases() []Case {
	inPlace := func(s *walsendertest.Sample, _ site) {
		s.Tablespaces = append(s.Tablespaces, walsendertest.SampleTablespace{OID: inPlaceOID})
	}
	dropped := always(walsendertest.TablespaceDropped(tablespaceOID))
	return []Case{{
		Rule:     rule.Must("TABLESPACE/001", "§5.1", "A tablespace is part of the cluster, and its link leads to where the copy has it."),
		scenario: scenario{state: running, needs: mapping(), sample: withTablespace},
		checks:   completes(),
	}, {
		Rule:     rule.Must("TABLESPACE/002", "§4.4", "A tablespace in pg_tblspc itself has no link, and nothing to be mapped."),
		scenario: scenario{state: running, sample: inPlace},
		checks:   completes(),
	}, {
		Rule: rule.Must("TABLESPACE/003", "§5.8", "Replay would make a link of a new tablespace to the directory of the source, and change its data."),
		scenario: scenario{state: running, faults: func(at site) []walsendertest.Fault {
			return []walsendertest.Fault{walsendertest.TablespaceAppears(tablespaceOID, at.target.TablespaceOld)}
		}},
		checks: with(refuses(), tablespacesAgain),
	}, {
		Rule:     rule.Must("TABLESPACE/004", "§5.8", "A new tablespace in pg_tblspc itself harms nobody."),
		scenario: scenario{state: running, faults: always(walsendertest.TablespaceAppears(inPlaceOID, inPlaceLink))},
		checks:   completes(),
	}, {
		Rule:     rule.Must("TABLESPACE/005", "§5.2", "A tablespace that was dropped during the backup is gone: replay drops it again."),
		scenario: scenario{state: running, needs: mapping(), sample: withTablespace, faults: dropped},
		checks:   []check{succeeds, whole(tolerance{missing: []string{tablespaceLink}})},
	}, {
		Rule:     rule.Must("TABLESPACE/006", "§5.2", "Without a label no tablespace may be gone."),
		scenario: scenario{needs: mapping(), sample: withTablespace, faults: dropped},
		checks:   refuses(),
	}, {
		Rule: rule.Must("TABLESPACE/007", "§5.2", "A file system that is not mounted is not a tablespace that was dropped."),
		scenario: scenario{state: running, needs: mapping(), sample: withTablespace, wrap: func(c *walsendertest.Cluster) walsender.Cluster {
			return unreadableTablespace{c}
		}},
		checks: refuses(),
	}, {
		Rule:     rule.Must("TABLESPACE/008", "§5.2", "A relation that vanished from a tablespace is excused like any other."),
		scenario: scenario{state: running, needs: mapping(), sample: withTablespace, faults: always(walsendertest.Vanished(inTablespace))},
		checks:   []check{succeeds, whole(tolerance{missing: []string{inTablespace}})},
	}, {
		Rule: rule.Must("TABLESPACE/009", "§5.8", "A tablespace that is made while START_BACKUP waits is in the second list and not in the first: replay makes its link, too."),
		scenario: scenario{state: running, wrap: func(c *walsendertest.Cluster) walsender.Cluster {
			return &createdTablespace{Cluster: c, more: protocol.Tablespace{OID: tablespaceOID, Location: "/srv/tablespace", Size: -1}}
		}},
		checks: refuses(),
	}}
}

// inTablespace is a relation in the tablespace.
const inTablespace = tablespaceLink + "/PG_15_202209061/1/20000"

func modeCases() []Case {
	group := func(s *walsendertest.Sample, at site) {
		s.GroupAccess = true
		withTablespace(s, at)
	}
	return []Case{{
		Rule:     rule.Must("MODE/001", "§5.10", "PostgreSQL refuses a data directory that others can enter."),
		scenario: scenario{state: running},
		checks:   []check{succeeds, modes(0o700, 0o600)},
	}, {
		Rule:     rule.Must("MODE/002", "§5.10", "Where the source is open to the group, the copy is."),
		scenario: scenario{state: running, sample: func(s *walsendertest.Sample, _ site) { s.GroupAccess = true }},
		checks:   []check{succeeds, modes(0o750, 0o640)},
	}, {
		Rule:     rule.Must("MODE/003", "§5.10", "A tablespace has the modes of the data directory."),
		scenario: scenario{state: running, needs: mapping(), sample: group},
		checks:   []check{succeeds, modes(0o750, 0o640)},
	}, {
		Rule:     rule.Must("MODE/004", "§5.10", "An empty directory gets the mode, too, whatever it had before."),
		scenario: scenario{state: running, existing: 0o755},
		checks:   []check{succeeds, modes(0o700, 0o600)},
	}}
}
