package conformance

import (
	"slices"
	"time"

	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

// Verdict is how a case ended.
type Verdict string

// The verdicts.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	NotSupported Verdict = "not supported" // the client says so
	NotRun       Verdict = "not run"       // the kit could not: this counts as a failure, unless it is Optional
)

// Result is what a case came to.
type Result struct {
	Case
	Verdict Verdict
	// Expected and Happened are what a failure is about, in a line each. For the other
	// verdicts Expected is empty, and Happened is the reason where there is one.
	Expected, Happened string
	KnownFailing       bool          // it is among [Options.KnownFailing]
	OwnWord            bool          // NotSupported, by the exit status alone: no profile has it
	Optional           bool          // of a server: NotSupported what it may leave out, NotRun what the connection does not show
	Output             string        // the end of what the client printed
	Diff               string        // how a server's answer differs from PostgreSQL's (§9), line by line
	Ended              string        // of a failure: how the client ended, in a line with the last that it printed
	Duration           time.Duration // from the start of the case to the verdict
}

// fail notes a finding as what the case came to.
func (r *Result) fail(f *rule.Finding) {
	r.Verdict, r.Expected, r.Happened = Fail, rule.OneLine(f.Expected), rule.OneLine(f.Happened)
	r.Diff = f.Diff
}

// excuse notes why a case about a server has no verdict.
func (r *Result) excuse(e *rule.Excuse) {
	r.Verdict, r.Happened, r.Optional = NotSupported, rule.OneLine(e.Reason), true
	if e.NotRun {
		r.Verdict = NotRun
	}
}

// Report is what a run came to.
type Report struct {
	Seed    uint64
	Strict  bool
	Results []Result // in the order of [Cases]
}

// Counts reports whether a result makes the run a failure: a failure or a case that was
// not run, unless it is known or of a SHOULD that nobody asked for; a case that passes
// though it is known to fail; and in a strict run a MUST that the client excuses itself
// from, and no profile does. What is Optional never counts.
func (r Report) Counts(result Result) bool {
	if result.KnownFailing {
		return result.Verdict == Pass || result.Verdict == NotRun
	}
	if result.Optional {
		return false
	}
	if result.OwnWord {
		return result.Level == Must && r.Strict
	}
	return (result.Verdict == Fail || result.Verdict == NotRun) && (result.Level == Must || r.Strict)
}

// OK reports whether the run is a success: at least one case passed, or failed as it is
// known to, and no result counts as a failure.
func (r Report) OK() bool {
	proved := func(result Result) bool { return result.Verdict == Pass || result.Verdict == Fail }
	return slices.ContainsFunc(r.Results, proved) && !slices.ContainsFunc(r.Results, r.Counts)
}
