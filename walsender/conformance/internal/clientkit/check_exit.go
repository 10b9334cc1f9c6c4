package clientkit

import (
	"regexp"
	"strings"

	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

// check is a rule that a client is held to; nil means that it was kept.
type check func(*evidence) *rule.Finding

// succeeds: the exit status is 0.
func succeeds(e *evidence) *rule.Finding {
	if !e.outcome.success() {
		return rule.Found("the client takes the backup: exit status 0", "%s", e.outcome.Says())
	}
	return nil
}

// fails: the exit status is not 0, and that by the client's own decision.
func fails(e *evidence) *rule.Finding {
	switch {
	case e.outcome.success():
		return rule.Found("the client fails: an exit status other than 0", "it reported success")
	case e.outcome.TimedOut, e.outcome.Signal != nil && len(e.scenario.signals) == 0:
		return rule.Found("the client ends by itself, with an exit status other than 0", "%s", e.outcome.Says())
	}
	if trace := crashTrace(e.outcome.Output); trace != "" {
		return rule.Found("the client fails in an orderly way", "it crashed: %s", trace)
	}
	return nil
}

// crashes are the first lines that the runtimes of some languages print when a program
// crashes. Go's are followed by a goroutine: "fatal error: " alone may be a client's own
// word.
var crashes = regexp.MustCompile(`(?m)^(` +
	`(panic|fatal error): .*(\n.*)*\ngoroutine \d+ ` +
	`|Traceback \(most recent call last\)` +
	`|Exception in thread ` +
	`|.*ERROR: AddressSanitizer` +
	`|thread '.*' panicked at )`)

// crashTrace is the first line of a client's output that a runtime prints when a
// program crashes, and that may end in any exit status; empty if there is none.
func crashTrace(output string) string {
	at := crashes.FindStringIndex(output)
	if at == nil {
		return ""
	}
	line, _, _ := strings.Cut(output[at[0]:], "\n")
	return strings.TrimSpace(line)
}

// givesReason: a client that failed printed something.
func givesReason(e *evidence) *rule.Finding {
	if strings.TrimSpace(e.outcome.Output) == "" {
		return rule.Found("the client says why it fails", "it printed nothing")
	}
	return nil
}

// saysAtMostOnce: the words of the server's error are printed no more than once.
func saysAtMostOnce(words string) check {
	return func(e *evidence) *rule.Finding {
		if n := strings.Count(e.outcome.Output, words); n > 1 {
			return rule.Found("the client says why it fails once", "it printed %q %d times", words, n)
		}
		return nil
	}
}

// untouched: the target, the tablespaces and all around them are as they were.
func untouched(e *evidence) *rule.Finding {
	if difference := e.after.difference(e.before); difference != "" {
		return rule.Found("the target and all around it are as they were before", "%s", difference)
	}
	return nil
}

// refuses is what most failures are judged by.
func refuses() []check { return []check{fails, givesReason, untouched} }

// completes is what most successes are judged by.
func completes() []check { return []check{succeeds, whole(tolerance{})} }

// wholeOrNothing: a backup that is said to be good is, and a failed one leaves nothing.
func wholeOrNothing(e *evidence) *rule.Finding {
	checks := refuses()
	if e.outcome.success() {
		checks = completes()
	}
	return first(checks, e)
}

// first is the first finding of the checks.
func first(checks []check, e *evidence) *rule.Finding {
	for _, c := range checks {
		if f := c(e); f != nil {
			return f
		}
	}
	return nil
}
