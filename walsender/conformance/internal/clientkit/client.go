package clientkit

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// Target is what a client is told. conformance.Target, which has the same fields,
// documents them.
type Target struct {
	Case                         string
	Host                         string
	Port                         int
	Dir                          string
	Jobs                         int
	MinJobs                      int
	WAL                          string
	TablespaceOld, TablespaceNew string
}

// Client is a client under test. Several goroutines may use it.
type Client interface {
	// Lacks is the first placeholder of those needed that the client has no place for;
	// empty if it has one for each.
	Lacks(needed []string) string
	// CanBeKilled reports whether signals reach the client.
	CanBeKilled() bool
	// Take has the client take a backup. The client gets the signals, one after the
	// other, when signaled is closed, and is killed when ctx ends. The error says that
	// the client could not be run.
	Take(ctx context.Context, t Target, signaled <-chan struct{}, signals []os.Signal) (Outcome, error)
}

// Outcome is how a client ended.
type Outcome struct {
	Status       int       // the exit status; -1 where a signal ended it
	Signal       os.Signal // the one that ended it; nil: none
	TimedOut     bool      // it had to be killed
	NotSupported bool      // it says that it cannot do what the case needs
	Output       string    // the end of what it printed
}

// LastLine is the last line that the client printed.
func (o Outcome) LastLine() string {
	text := strings.TrimSpace(o.Output)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// success reports whether the client said that the backup is good.
func (o Outcome) success() bool { return o.Status == 0 && o.Signal == nil && !o.TimedOut }

// Says is how the client ended, in words.
func (o Outcome) Says() string {
	text := fmt.Sprintf("it ended with exit status %d", o.Status)
	switch {
	case o.TimedOut:
		text = "it did not end in time and was killed"
	case o.Signal != nil:
		text = fmt.Sprintf("it was ended by the signal %q", o.Signal)
	}
	if last := o.LastLine(); last != "" {
		text += ", saying: " + last
	}
	return text
}
