package walsender

import (
	"strings"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// checkLogical refuses logical replication, and SQL where the session has asked for it by
// replication=database (§4.9). PostgreSQL's answer would be about a connection that the
// client did not ask for.
func (s *session) checkLogical(text string) error {
	verb := grammar.Verb(text)
	switch {
	case isLogical(verb, text):
		return refusedLogical("logical replication is not passed through")
	case s.asked["replication"] == "database" && !isReplication(verb):
		return refusedLogical("SQL is not passed through")
	}
	return nil
}

func refusedLogical(message string) error {
	return protocol.Errorf(protocol.CodeFeatureNotSupported, "%s", message).
		WithHint("Connect to PostgreSQL itself: this server is for backups and physical replication.")
}

// isReplication reports whether the word begins a command of PostgreSQL 13 to 19 that a
// connection without SQL runs (replication/repl_gram.y).
func isReplication(verb string) bool {
	switch verb {
	case "IDENTIFY_SYSTEM", "SHOW", "TIMELINE_HISTORY", "BASE_BACKUP", "UPLOAD_MANIFEST", "START_REPLICATION",
		"CREATE_REPLICATION_SLOT", "READ_REPLICATION_SLOT", "ALTER_REPLICATION_SLOT", "DROP_REPLICATION_SLOT":
		return true
	}
	return false
}

// isLogical reports whether a command is of logical replication: CREATE_REPLICATION_SLOT
// name [TEMPORARY] LOGICAL …, START_REPLICATION SLOT name LOGICAL ….
func isLogical(verb, text string) bool {
	l := optionLexer{rest: text}
	l.next() // the command
	switch verb {
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

// nextIs takes a token and reports whether it is the word.
func (l *optionLexer) nextIs(word string) bool {
	t, ok := l.next()
	return ok && t.kind == 'w' && strings.EqualFold(t.value, word)
}
