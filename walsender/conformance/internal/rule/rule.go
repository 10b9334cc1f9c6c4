// Package rule is what the kit for clients and the kit for servers have in common: the
// rule that a case tests, and what is found where the rule was broken.
package rule

import (
	"fmt"
	"strings"
)

// Rule is what a case tests. conformance.Case documents the fields.
type Rule struct {
	ID      string
	Section string
	Should  bool // by RFC 2119; otherwise a MUST
	Why     string
}

// Must is a rule that everybody keeps.
func Must(id, section, why string) Rule { return Rule{ID: id, Section: section, Why: why} }

// Should is a rule that counts in strict runs only.
func Should(id, section, why string) Rule {
	return Rule{ID: id, Section: section, Should: true, Why: why}
}

// Finding is why a case fails: what the rule wants, and what happened instead.
type Finding struct {
	Expected, Happened string
	Diff               string // of what a server says and PostgreSQL says, in lines; may be empty
}

// Excuse is why a case has no verdict: it is about what a server may leave out, or what the
// connection does not show.
type Excuse struct {
	NotRun bool // the kit could not; otherwise the server does not offer it
	Reason string
}

// Found makes a finding; format and args say what happened.
func Found(expected, format string, args ...any) *Finding {
	return &Finding{Expected: expected, Happened: fmt.Sprintf(format, args...)}
}

// OneLine is text without line feeds, cut to a length that fits a report.
func OneLine(text string) string {
	const longest = 300
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "�")), " ")
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "…"
	}
	return text
}
