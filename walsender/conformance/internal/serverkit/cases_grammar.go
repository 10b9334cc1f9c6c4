package serverkit

import (
	"fmt"
	"strings"

	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

func grammarCases() []Case {
	return []Case{
		{rule.Must("S-GRAMMAR/001", "§2.1", "Keywords are taken in any case."), func(t *conversation) {
			p := t.session()
			p.done("list_tablespaces Progress")
		}},
		{rule.Must("S-GRAMMAR/002", "§2", "A semicolon may end a command."), func(t *conversation) {
			t.session().done("LIST_TABLESPACES;")
		}},
		{rule.Must("S-GRAMMAR/003", "§2.4", "Two commands in a Query are one mistake."), func(t *conversation) {
			p := t.session()
			a := p.refused("42601", "LIST_TABLESPACES; LIST_TABLESPACES")
			t.want(len(a.rows) == 0, "no row of the first command", "%d rows", len(a.rows))
		}},
		{rule.Must("S-GRAMMAR/004", "§2.5", "An empty Query has an answer of its own."), func(t *conversation) {
			a := t.session().ask("")
			t.want(a.kinds == "IZ", "EmptyQueryResponse, ReadyForQuery", "%s (%s)", a, a.kinds)
		}},
		{rule.Must("S-GRAMMAR/005", "§2.6", "A command that the server does not have is told from one that is wrongly written."), func(t *conversation) {
			t.session().refused("0A000", "MAKE_COFFEE")
		}},
		{rule.Must("S-GRAMMAR/006", "§2.6", "The position of a mistake counts characters, from 1."), func(t *conversation) {
			p := t.session()
			a := p.refused("42601", "SEND_FILE base")
			t.want(a.position == 11, "position 11", "%d", a.position)
			t.want(a.message == `syntax error at or near "base"`, `syntax error at or near "base"`, "%s", a.message)
			a = p.refused("42601", "START_BACKUP LABEL 'é' FAST FASTER")
			t.want(a.position == 29, "position 29", "%d", a.position)
			a = p.refused("42601", "START_BACKUP LABEL")
			t.want(a.message == "syntax error at end of input", "syntax error at end of input", "%s", a.message)
		}},
		{rule.Must("S-GRAMMAR/007", "§2.3", "An option that is given twice contradicts itself."), func(t *conversation) {
			p := t.session()
			a := p.refused("42601", "START_BACKUP FAST LABEL 'x' FAST")
			t.want(a.message == `duplicate option "FAST"`, `duplicate option "FAST"`, "%s", a.message)
		}},
		{rule.Must("S-GRAMMAR/008", "§2.3", "A location is two hexadecimal numbers."), func(t *conversation) {
			t.session().refused("22P02", "LIST_WAL_FILES START_WAL_LOCATION '0/X'")
		}},
		{rule.Must("S-GRAMMAR/009", "§2.4", "A command of very many tokens is refused before it takes memory."), func(t *conversation) {
			t.session().refused("42601", "START_BACKUP %s", strings.Repeat("FAST ", 100))
		}},
		{rule.Must("S-GRAMMAR/010", "§2.4", "A command over 16 KiB ends the session before it is read."), func(t *conversation) {
			p := t.session()
			a := p.ask("SEND_FILE ('%s')", strings.Repeat("x", 17<<10))
			t.want(a.severity == "FATAL" && a.code == "08P01" && a.closed, "FATAL 08P01, and the end", "%s", a)
		}},
		{rule.Must("S-GRAMMAR/011", "§2.2", "Two quotes in a string are one."), func(t *conversation) {
			p := t.session()
			a := p.refused("42704", "LIST_FILES '/it''s'")
			t.want(strings.Contains(a.message, "/it's"), fmt.Sprintf("a message with %q", "/it's"), "%s", a.message)
		}},
		{rule.Must("S-GRAMMAR/012", "§2.2", "Text is UTF-8."), func(t *conversation) {
			a := t.session().ask("START_BACKUP LABEL '\xff'")
			t.want(a.code == "22021" && a.ready, "22021", "%s", a)
		}},
	}
}
