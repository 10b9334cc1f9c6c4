package clientkit

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// Case is a case that tests clients: the rule, what the client meets, and what the client
// is held to.
type Case struct {
	rule.Rule
	scenario
	checks []check // in this order; the first finding is the verdict
}

// scenario is the server and the target that a client meets.
type scenario struct {
	state    controlfile.State                 // of the cluster; 0 is one that was shut down
	sample   func(*walsendertest.Sample, site) // changes to the cluster; may be nil
	faults   func(site) []walsendertest.Fault  // may be nil
	anyFault bool                              // one of the faults is enough, else all have to happen
	wrap     func(*walsendertest.Cluster) walsender.Cluster
	Slow     bool // it takes longer than others

	needs    []string    // placeholders without which the client cannot take part
	wal      string      // empty means fetch
	minJobs  int         // 0: all
	parents  bool        // the target's parent does not exist either
	existing fs.FileMode // of an empty target; 0: it does not exist
	occupied bool        // the target has a file in it
	beside   bool        // there is a directory with a file beside the target, see besideTarget

	hold    *holdPoint  // where the server waits until the client got the signals
	watch   bool        // the order is seen in which names appear; signals come with pg_control's
	signals []os.Signal // one after the other
}

// site is what a scenario may depend on.
type site struct {
	target Target
	random *rand.Rand
}

// within is a random offset in a file of the size, not at its ends.
func (s site) within(size int64) int64 { return 1 + s.random.Int64N(size-1) }

// Sizes of the files of the cluster.
const (
	relationPages = 6
	relationSize  = relationPages * 8192
)

// Names in the cluster, which every case has.
const (
	relation       = "base/1/20000"
	otherRelation  = "base/1/20001"
	controlFile    = "global/pg_control"
	controlHeld    = "global/pg_control.incomplete"
	filenodeMap    = "global/pg_filenode.map"
	firstWAL       = "pg_wal/000000010000000000000002"
	tablespaceOID  = 16500
	tablespaceLink = "pg_tblspc/16500"
	inPlaceOID     = 16501
	inPlaceLink    = "pg_tblspc/16501"
)

// cluster makes the cluster of a case: a small one.
func (s scenario) cluster(at site) *walsendertest.Cluster {
	sample := walsendertest.Sample{
		SystemID:       7300000000000000000 + at.random.Uint64N(1<<40),
		State:          s.state,
		Databases:      1,
		Relations:      2,
		RelationPages:  relationPages,
		WALSegmentSize: 1 << 20,
	}
	if s.sample != nil {
		s.sample(&sample, at)
	}
	return &walsendertest.Cluster{Sample: sample}
}

// prepare makes the target as the case wants it to be found.
func (s scenario) prepare(t Target) error {
	if s.beside {
		dir := besideTarget(t)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "precious"), []byte("not to be touched\n"), 0o600)
	}
	if s.existing == 0 && !s.occupied {
		return nil
	}
	if err := os.Mkdir(t.Dir, 0o700); err != nil {
		return err
	}
	if s.occupied {
		return os.WriteFile(t.Dir+"/precious", []byte("not to be touched\n"), 0o600)
	}
	return os.Chmod(t.Dir, s.existing)
}

// besideTarget is a directory that is not empty and none of the client's business.
func besideTarget(t Target) string { return filepath.Join(filepath.Dir(t.Dir), "somebody") }
