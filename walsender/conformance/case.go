package conformance

import (
	"strings"

	"github.com/pgparallel/pgparallel/walsender/conformance/internal/clientkit"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/serverkit"
)

// Level says how binding the rule is that a case tests, by RFC 2119.
type Level string

// The levels.
const (
	Must   Level = "MUST"
	Should Level = "SHOULD" // counts only where [Options.Strict] is set
)

// Case is one thing that is tested. Cases do not change their ID: one that is dropped
// leaves a gap.
type Case struct {
	ID      string // AREA/nnn
	Section string // the section of PROTOCOL.md that it tests: §5.6
	Level   Level
	Why     string // one sentence: what the rule is good for
}

// Area is the part of the ID before the slash.
func (c Case) Area() string {
	area, _, _ := strings.Cut(c.ID, "/")
	return area
}

// Cases are the cases that test clients, in their order.
func Cases() []Case {
	var cases []Case
	for _, c := range clientkit.Cases() {
		cases = append(cases, caseOf(c.Rule))
	}
	return cases
}

// ServerCases are the cases that test servers, in their order.
func ServerCases() []Case {
	var cases []Case
	for _, c := range serverkit.Cases() {
		cases = append(cases, caseOf(c.Rule))
	}
	return cases
}

func caseOf(r rule.Rule) Case {
	c := Case{ID: r.ID, Section: r.Section, Level: Must, Why: r.Why}
	if r.Should {
		c.Level = Should
	}
	return c
}
