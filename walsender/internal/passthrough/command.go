package passthrough

import (
	"strings"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// Check refuses a command that must not be passed through (§4.9): a BASE_BACKUP that would
// write on the server, logical replication, and SQL where the session has asked for SQL by
// replication=database. PostgreSQL's answer to SQL would be about a connection that the client
// did not ask for.
func Check(text string, askedForSQL bool) error {
	if err := checkTarget(text); err != nil {
		return err
	}
	switch {
	case IsLogical(text):
		return RefuseLogical("logical replication is not passed through")
	case askedForSQL && !IsReplication(text):
		return RefuseLogical("SQL is not passed through")
	}
	return nil
}

// RefuseLogical is the answer to a command of logical replication.
func RefuseLogical(message string) error {
	return protocol.Errorf(protocol.CodeFeatureNotSupported, "%s", message).
		WithHint("Connect to PostgreSQL itself: this server is for backups and physical replication.")
}

// IsReplication reports whether a text begins as a command of PostgreSQL 13 to 19 that a
// connection without SQL runs (replication/repl_gram.y).
func IsReplication(text string) bool {
	switch grammar.Verb(text) {
	case "IDENTIFY_SYSTEM", "SHOW", "TIMELINE_HISTORY", "BASE_BACKUP", "UPLOAD_MANIFEST", "START_REPLICATION",
		"CREATE_REPLICATION_SLOT", "READ_REPLICATION_SLOT", "ALTER_REPLICATION_SLOT", "DROP_REPLICATION_SLOT":
		return true
	}
	return false
}

// IsLogical reports whether a command is of logical replication: CREATE_REPLICATION_SLOT
// name [TEMPORARY] LOGICAL …, START_REPLICATION SLOT name LOGICAL ….
func IsLogical(text string) bool {
	l := optionLexer{rest: text}
	l.next() // the command
	switch grammar.Verb(text) {
	case "CREATE_REPLICATION_SLOT":
		l.next() // the slot's name
		if l.nextIs("LOGICAL") {
			return true
		}
		return l.nextIs("LOGICAL") // behind TEMPORARY
	case "START_REPLICATION":
		l.next() // SLOT
		l.next() // the slot's name
		return l.nextIs("LOGICAL")
	}
	return false
}

// leavesState reports whether PostgreSQL keeps something for the connection when the
// command is done: a temporary slot, the manifest of an earlier backup, or what a later
// version may think of.
func leavesState(text string) bool {
	switch grammar.Verb(text) {
	case "IDENTIFY_SYSTEM", "SHOW", "TIMELINE_HISTORY", "BASE_BACKUP", "START_REPLICATION",
		"READ_REPLICATION_SLOT", "DROP_REPLICATION_SLOT":
		return false
	case "CREATE_REPLICATION_SLOT":
		l := optionLexer{rest: text}
		l.next()
		l.next() // the slot's name
		option, _ := l.next()
		return option.kind == 'w' && option.value == "TEMPORARY"
	}
	return true
}

// nextIs takes a token and reports whether it is the word.
func (l *optionLexer) nextIs(word string) bool {
	t, ok := l.next()
	return ok && t.kind == 'w' && strings.EqualFold(t.value, word)
}
