package conformance

import (
	"strings"
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
	for _, c := range clientCases() {
		cases = append(cases, c.Case)
	}
	return cases
}

// ServerCases are the cases that test servers, in their order.
func ServerCases() []Case {
	var cases []Case
	for _, c := range serverCases() {
		cases = append(cases, c.Case)
	}
	return cases
}
