package clientkit

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func hostileCases() []Case {
	return []Case{
		hostileRow("001", "A path with .. leads out of the target.", "../evil", protocol.TypeDirectory),
		hostileRow("002", "A path with .. in its middle leads out of the target.", "base/../../evil", protocol.TypeDirectory),
		hostileRow("003", "An absolute path is not below the target.", "/", protocol.TypeDirectory),
		hostileRow("004", "An empty path names the target itself.", "", protocol.TypeFile),
		hostileRow("005", "Two names of one file are a way around every check.", "base//1", protocol.TypeDirectory),
		hostileRow("006", "A dot gives a file a second name.", "./evil", protocol.TypeDirectory),
		hostileRow("007", "A file is listed once: the second could be another.", relation, protocol.TypeFile),
		hostileRow("008", "A link to nowhere known is a way out of the target.", "pg_tblspc/99999", protocol.TypeLink),
		hostileRow("009", "Links lie in pg_tblspc.", "base/evil", protocol.TypeLink),
		{
			Rule: rule.Must("HOSTILE/010", "§5.9", "What is listed for a tablespace lies in it."),
			scenario: scenario{needs: mapping(), sample: withTablespace, anyFault: true, faults: func(at site) []walsendertest.Fault {
				row := protocol.File{Path: "base/evil", Type: protocol.TypeDirectory, ModTime: time.Unix(0, 0)}
				return []walsendertest.Fault{
					walsendertest.ListedRow(at.target.TablespaceOld, row),
					walsendertest.ListedRow("16500", row), // by its OID
				}
			}},
			checks: refuses(),
		},
		inTablespaceRow("011", "Below a tablespace lies its directory of this version: anything else could be a file of the user's own.", "authorized_keys"),
		inTablespaceRow("012", "The directory of another major version is another cluster's.", "PG_99_209901011"),
		{
			Rule: rule.Must("HOSTILE/013", "§5.9", "Where an unmapped tablespace goes is the server's word: a hidden directory is never a tablespace's."),
			scenario: scenario{state: running, sample: func(s *walsendertest.Sample, at site) {
				hidden := filepath.Join(filepath.Dir(at.target.Dir), ".hidden")
				s.Tablespaces = []walsendertest.SampleTablespace{{OID: tablespaceOID, Location: hidden}}
			}},
			checks: refuses(),
		},
		{
			Rule: rule.Must("HOSTILE/014", "§5.9", "What lies where the server says an unmapped tablespace is belongs to somebody else."),
			scenario: scenario{state: running, beside: true, sample: func(s *walsendertest.Sample, at site) {
				s.Tablespaces = []walsendertest.SampleTablespace{{OID: tablespaceOID, Location: besideTarget(at.target)}}
			}},
			checks: refuses(),
		},
		{
			Rule:     rule.Must("HOSTILE/015", "§5.9", "A server that never comes to an end of its notices keeps a client for ever: a million in one answer are too many."),
			scenario: scenario{state: running, Slow: true, wrap: func(c *walsendertest.Cluster) walsender.Cluster { return chatter{c} }},
			checks:   refuses(),
		},
	}
}

// inTablespaceRow is a case of a row in the list of a tablespace that must not be there.
func inTablespaceRow(number, why, name string) Case {
	return Case{
		Rule: rule.Must("HOSTILE/"+number, "§5.9", why),
		scenario: scenario{needs: mapping(), sample: withTablespace, anyFault: true, faults: func(at site) []walsendertest.Fault {
			row := protocol.File{Path: tablespaceLink + "/" + name, Type: protocol.TypeDirectory, ModTime: time.Unix(0, 0)}
			return []walsendertest.Fault{
				walsendertest.ListedRow(at.target.TablespaceOld, row),
				walsendertest.ListedRow(fmt.Sprint(tablespaceOID), row),
			}
		}},
		checks: refuses(),
	}
}

// hostileRow is a case of a row in LIST_FILES that must not be there. The path / stands
// for an absolute one, beside the target.
func hostileRow(number, why, path string, kind protocol.FileType) Case {
	return Case{
		Rule: rule.Must("HOSTILE/"+number, "§5.9", why),
		scenario: scenario{state: running, faults: func(at site) []walsendertest.Fault {
			row := protocol.File{Path: path, Type: kind, ModTime: time.Unix(0, 0)}
			if path == "/" {
				row.Path = at.target.Dir + "-evil"
			}
			return []walsendertest.Fault{walsendertest.ListedRow("", row)}
		}},
		checks: refuses(),
	}
}
