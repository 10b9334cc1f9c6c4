package client

import (
	"fmt"
	"sync"

	"github.com/pgparallel/pgparallel/protocol"
)

// EventLevel says who an [Event] is for.
type EventLevel int

const (
	// LevelVerbose is for those who asked for details: the course of the backup.
	LevelVerbose EventLevel = iota
	// LevelInfo is for everybody: that the backup failed (Event.Err), what happens to the
	// target then, and what the server has to say (NOTICE).
	LevelInfo
	// LevelWarning is for everybody: something may be wrong, here or on the
	// server (WARNING).
	LevelWarning
)

// Event is something to tell the user while a backup runs.
type Event struct {
	Level   EventLevel
	Message string // one line, lower case, no final stop
	// Notice is what the server said, with SQLSTATE, detail and hint; nil for
	// events of this side.
	Notice *protocol.Error
	// Err is why the backup has failed, the error that [Backup] is about to return. Such an
	// event comes ahead of those about what happens to the target, where there is one, and
	// behind the last call of [Options.Progress]; Message is the text of Err. nil: another event.
	Err error
}

// events hands events on, one at a time.
type events struct {
	mu  sync.Mutex
	log func(Event)
}

func (e *events) tell(level EventLevel, format string, args ...any) {
	e.hand(Event{Level: level, Message: fmt.Sprintf(format, args...)})
}

// Verbose, Info and Warning make events the log of an output.
func (e *events) Verbose(format string, args ...any) { e.tell(LevelVerbose, format, args...) }

func (e *events) Info(format string, args ...any) { e.tell(LevelInfo, format, args...) }

func (e *events) Warning(format string, args ...any) { e.tell(LevelWarning, format, args...) }

// notice passes on a NoticeResponse of the server.
func (e *events) notice(n *protocol.Error) {
	level := LevelInfo
	switch n.Severity {
	case protocol.SeverityWarning:
		level = LevelWarning
	case "DEBUG", "LOG":
		level = LevelVerbose
	}
	e.hand(Event{Level: level, Message: n.Message, Notice: n})
}

func (e *events) hand(event Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.log(event)
}
