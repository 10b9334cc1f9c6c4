package grammar

import (
	"github.com/alecthomas/participle/v2/lexer"

	"github.com/pgparallel/pgparallel/protocol"
)

// CreateReplicationSlot is CREATE_REPLICATION_SLOT of a physical slot (§9.2).
type CreateReplicationSlot struct {
	Name       string // as it was written: not checked to be the name of a slot
	Temporary  bool
	ReserveWAL bool
	// Parenthesized says that the options stand in parentheses, which PostgreSQL reads
	// from 15 on.
	Parenthesized bool
}

// DropReplicationSlot is DROP_REPLICATION_SLOT (§9.2).
type DropReplicationSlot struct {
	Name string // as it was written
	Wait bool   // for the session that uses the slot
}

// ReadReplicationSlot is READ_REPLICATION_SLOT (§9.2), which PostgreSQL has from 15 on.
type ReadReplicationSlot struct {
	Name string // as it was written
}

func (CreateReplicationSlot) command() {}
func (DropReplicationSlot) command()   {}
func (ReadReplicationSlot) command()   {}

// String is the command as a client sends it.
func (c CreateReplicationSlot) String() string {
	text := "CREATE_REPLICATION_SLOT " + quote(c.Name, `"`)
	if c.Temporary {
		text += " TEMPORARY"
	}
	text += " PHYSICAL"
	switch {
	case c.Parenthesized && c.ReserveWAL:
		text += " (RESERVE_WAL)"
	case c.Parenthesized:
		text += " (RESERVE_WAL 0)"
	case c.ReserveWAL:
		text += " RESERVE_WAL"
	}
	return text
}

// String is the command as a client sends it.
func (c DropReplicationSlot) String() string {
	text := "DROP_REPLICATION_SLOT " + quote(c.Name, `"`)
	if c.Wait {
		text += " WAIT"
	}
	return text
}

// String is the command as a client sends it.
func (c ReadReplicationSlot) String() string {
	return "READ_REPLICATION_SLOT " + quote(c.Name, `"`)
}

type createReplicationSlot struct {
	Name       lexer.Token     `parser:"'CREATE_REPLICATION_SLOT' @(Word | Name)"`
	Temporary  bool            `parser:"@'TEMPORARY'? 'PHYSICAL'"`
	ReserveWAL bool            `parser:"( @'RESERVE_WAL'"`
	Options    []genericOption `parser:"| '(' @@ (',' @@)* ')' )?"`
}

type dropReplicationSlot struct {
	Name lexer.Token `parser:"'DROP_REPLICATION_SLOT' @(Word | Name)"`
	Wait bool        `parser:"@'WAIT'?"`
}

type readReplicationSlot struct {
	Name lexer.Token `parser:"'READ_REPLICATION_SLOT' @(Word | Name)"`
}

func (s createReplicationSlot) meaning() (Command, error) {
	name, err := slotName(s.Name)
	if err != nil {
		return nil, err
	}
	c := CreateReplicationSlot{Name: name, Temporary: s.Temporary, ReserveWAL: s.ReserveWAL, Parenthesized: len(s.Options) > 0}
	for i, o := range s.Options {
		option, err := nameValue(o.Name)
		switch {
		case err != nil:
			return nil, err
		case option == "snapshot", option == "two_phase", option == "failover", i > 0 && option == "reserve_wal":
			return nil, errorAt(o.Name, protocol.CodeSyntaxError, "conflicting or redundant options")
		case option != "reserve_wal":
			return nil, errorAt(o.Name, protocol.CodeInternalError, "unrecognized option: %s", protocol.Shorten(option, maxQuoted))
		}
		if c.ReserveWAL, err = o.boolean(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (s dropReplicationSlot) meaning() (Command, error) {
	name, err := slotName(s.Name)
	if err != nil {
		return nil, err
	}
	return DropReplicationSlot{Name: name, Wait: s.Wait}, nil
}

func (s readReplicationSlot) meaning() (Command, error) {
	name, err := slotName(s.Name)
	if err != nil {
		return nil, err
	}
	return ReadReplicationSlot{Name: name}, nil
}

// slotName is the name of a slot. A keyword of PostgreSQL's replication grammar (repl_scanner.l)
// is none, where it stands in capitals and without quotes: who leaves the name out of
// START_REPLICATION SLOT PHYSICAL is not told that a slot of the name physical does not exist.
func slotName(t lexer.Token) (string, error) {
	if keywords[t.Value] {
		return "", errorAt(t, protocol.CodeSyntaxError, "syntax error at or near \"%s\"", t.Value)
	}
	return nameValue(t)
}

// keywords are those of PostgreSQL 15 to 19.
var keywords = map[string]bool{
	"BASE_BACKUP": true, "IDENTIFY_SYSTEM": true, "READ_REPLICATION_SLOT": true, "SHOW": true, "TIMELINE": true,
	"START_REPLICATION": true, "CREATE_REPLICATION_SLOT": true, "DROP_REPLICATION_SLOT": true, "TIMELINE_HISTORY": true,
	"PHYSICAL": true, "RESERVE_WAL": true, "LOGICAL": true, "SLOT": true, "TEMPORARY": true, "TWO_PHASE": true,
	"EXPORT_SNAPSHOT": true, "NOEXPORT_SNAPSHOT": true, "USE_SNAPSHOT": true, "WAIT": true,
}
