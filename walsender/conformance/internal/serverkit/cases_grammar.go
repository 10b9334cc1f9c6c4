package conformance

import (
	"fmt"
	"strings"
)

func serverGrammarCases() []serverCase {
	return []serverCase{
		{Case{"S-GRAMMAR/001", "§2.1", Must, "Keywords are taken in any case."}, func(t *talk) {
			p := t.session()
			p.done("list_tablespaces Progress")
		}},
		{Case{"S-GRAMMAR/002", "§2", Must, "A semicolon may end a command."}, func(t *talk) {
			t.session().done("LIST_TABLESPACES;")
		}},
		{Case{"S-GRAMMAR/003", "§2.4", Must, "Two commands in a Query are one mistake."}, func(t *talk) {
			p := t.session()
			a := p.refused("42601", "LIST_TABLESPACES; LIST_TABLESPACES")
			t.want(len(a.rows) == 0, "no row of the first command", "%d rows", len(a.rows))
		}},
		{Case{"S-GRAMMAR/004", "§2.5", Must, "An empty Query has an answer of its own."}, func(t *talk) {
			a := t.session().ask("")
			t.want(a.kinds == "IZ", "EmptyQueryResponse, ReadyForQuery", "%s (%s)", a, a.kinds)
		}},
		{Case{"S-GRAMMAR/005", "§2.6", Must, "A command that the server does not have is told from one that is wrongly written."}, func(t *talk) {
			t.session().refused("0A000", "MAKE_COFFEE")
		}},
		{Case{"S-GRAMMAR/006", "§2.6", Must, "The position of a mistake counts characters, from 1."}, func(t *talk) {
			p := t.session()
			a := p.refused("42601", "SEND_FILE base")
			t.want(a.position == 11, "position 11", "%d", a.position)
			t.want(a.message == `syntax error at or near "base"`, `syntax error at or near "base"`, "%s", a.message)
			a = p.refused("42601", "START_BACKUP LABEL 'é' FAST FASTER")
			t.want(a.position == 29, "position 29", "%d", a.position)
			a = p.refused("42601", "START_BACKUP LABEL")
			t.want(a.message == "syntax error at end of input", "syntax error at end of input", "%s", a.message)
		}},
		{Case{"S-GRAMMAR/007", "§2.3", Must, "An option that is given twice contradicts itself."}, func(t *talk) {
			p := t.session()
			a := p.refused("42601", "START_BACKUP FAST LABEL 'x' FAST")
			t.want(a.message == `duplicate option "FAST"`, `duplicate option "FAST"`, "%s", a.message)
		}},
		{Case{"S-GRAMMAR/008", "§2.3", Must, "A location is two hexadecimal numbers."}, func(t *talk) {
			t.session().refused("22P02", "LIST_WAL_FILES START_WAL_LOCATION '0/X'")
		}},
		{Case{"S-GRAMMAR/009", "§2.4", Must, "A command of very many tokens is refused before it takes memory."}, func(t *talk) {
			t.session().refused("42601", "START_BACKUP %s", strings.Repeat("FAST ", 100))
		}},
		{Case{"S-GRAMMAR/010", "§2.4", Must, "A command over 16 KiB ends the session before it is read."}, func(t *talk) {
			p := t.session()
			a := p.ask("SEND_FILE ('%s')", strings.Repeat("x", 17<<10))
			t.want(a.severity == "FATAL" && a.code == "08P01" && a.closed, "FATAL 08P01, and the end", "%s", a)
		}},
		{Case{"S-GRAMMAR/011", "§2.2", Must, "Two quotes in a string are one."}, func(t *talk) {
			p := t.session()
			a := p.refused("42704", "LIST_FILES '/it''s'")
			t.want(strings.Contains(a.message, "/it's"), fmt.Sprintf("a message with %q", "/it's"), "%s", a.message)
		}},
		{Case{"S-GRAMMAR/012", "§2.2", Must, "Text is UTF-8."}, func(t *talk) {
			a := t.session().ask("START_BACKUP LABEL '\xff'")
			t.want(a.code == "22021" && a.ready, "22021", "%s", a)
		}},
	}
}
