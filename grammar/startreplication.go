package grammar

import (
	"strconv"

	"github.com/alecthomas/participle/v2/lexer"

	"github.com/pgparallel/pgparallel/protocol"
)

// StartReplication is START_REPLICATION of physical replication (§9.2).
type StartReplication struct {
	Slot     string // the slot's name; empty where none is named
	Start    protocol.LSN
	Timeline protocol.Timeline // 0: the one that the cluster is on
}

func (StartReplication) command() {}

// String is the command as a client sends it.
func (c StartReplication) String() string {
	text := "START_REPLICATION"
	if c.Slot != "" {
		text += " SLOT " + quote(c.Slot, `"`)
	}
	text += " PHYSICAL " + c.Start.String()
	if c.Timeline != 0 {
		text += " TIMELINE " + strconv.FormatUint(uint64(c.Timeline), 10)
	}
	return text
}

type startReplication struct {
	Slot     *lexer.Token `parser:"'START_REPLICATION' ('SLOT' @(Word | Name))?"`
	Start    lexer.Token  `parser:"'PHYSICAL'? @Location"`
	Timeline *lexer.Token `parser:"('TIMELINE' @Integer)?"`
}

func (s startReplication) meaning() (Command, error) {
	var c StartReplication
	var err error
	if s.Slot != nil {
		if c.Slot, err = slotName(*s.Slot); err != nil {
			return nil, err
		}
	}
	if c.Start, err = protocol.ParseLSN(s.Start.Value); err != nil {
		return nil, errorAt(s.Start, protocol.CodeSyntaxError, "invalid streaming start location")
	}
	if s.Timeline != nil {
		if c.Timeline, err = timelineValue(*s.Timeline); err != nil {
			return nil, err
		}
	}
	return c, nil
}
