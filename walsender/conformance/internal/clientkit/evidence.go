package clientkit

import (
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
	outcome    Outcome
	before     snapshot // of the directory that holds the target and the tablespaces
	after      snapshot
	appeared   []appearance // in the target since STOP_BACKUP, where the case watches it
}

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
