package conformance

import (
	"os"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// evidence is what a case is judged by: what was said, how the client ended, and what
// it left.
type evidence struct {
	target     Target
	scenario   scenario
	cluster    *walsendertest.Cluster // without faults
	transcript walsendertest.Transcript
	exchanges  []*exchange
	outcome    outcome
	before     snapshot // of the directory that holds the target and the tablespaces
	after      snapshot
	appeared   []appearance // in the target since STOP_BACKUP, where the case watches it
}

// outcome is how a client ended.
type outcome struct {
	status       int       // the exit status; -1 where a signal ended it
	signal       os.Signal // the one that ended it; nil: none
	timedOut     bool      // it had to be killed
	notSupported bool
	output       string // the end of what it printed
}

// success reports whether the client said that the backup is good.
func (o outcome) success() bool { return o.status == 0 && o.signal == nil && !o.timedOut }

// asked are the commands that begin with the verb.
func (e *evidence) asked(verb string) []*exchange {
	var found []*exchange
	for _, x := range e.exchanges {
		if x.verb == verb {
			found = append(found, x)
		}
	}
	return found
}

// succeeded is the first command with the verb that succeeded, nil if none has.
func (e *evidence) succeeded(verb string) *exchange {
	for _, x := range e.asked(verb) {
		if x.ok() {
			return x
		}
	}
	return nil
}

// row is the first row of an answer to the verb; nil if there was none.
func (e *evidence) row(verb string) []string {
	for _, x := range e.asked(verb) {
		if len(x.rows) > 0 {
			return x.rows[0]
		}
	}
	return nil
}

// sent are the commands that ask for files of the backup, pg_control and WAL excepted.
func (e *evidence) sent() []*exchange {
	var found []*exchange
	for _, x := range e.exchanges {
		if x.data() && x.path != controlFile {
			found = append(found, x)
		}
	}
	return found
}

// control is the last command that got pg_control, nil if none has.
func (e *evidence) control() *exchange {
	var last *exchange
	for _, x := range e.exchanges {
		if x.path == controlFile && x.ok() {
			last = x
		}
	}
	return last
}
