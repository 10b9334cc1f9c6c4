package conformance

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// WriteTable writes a line for each case: its ID, section and level, the verdict, and why
// it is there; for what did not pass two lines more, what was expected and what
// happened, and how the client ended, or the difference between two answers. Behind the
// cases, failures that have the same cause stand together, with what to read about it. The last line counts. The errors are those of w.
func (r Report) WriteTable(w io.Writer) error {
	out := bufio.NewWriter(w)
	var cases []Case
	for _, result := range r.Results {
		cases = append(cases, result.Case)
	}
	width := IDWidth(cases)
	for _, result := range r.Results {
		r.writeResult(out, result, width)
	}
	r.writeCauses(out)
	fmt.Fprintln(out, r.summary())
	return out.Flush()
}

// writeCauses writes what was expected and did not happen, the most frequent first, with
// the cases and the sections of PROTOCOL.md.
func (r Report) writeCauses(out io.Writer) {
	type cause struct {
		expected       string
		cases, section []string
	}
	var causes []*cause
	for _, result := range r.Results {
		if result.Verdict != Fail {
			continue
		}
		i := slices.IndexFunc(causes, func(c *cause) bool { return c.expected == result.Expected })
		if i < 0 {
			i, causes = len(causes), append(causes, &cause{expected: result.Expected})
		}
		c := causes[i]
		c.cases = append(c.cases, result.ID)
		if !slices.Contains(c.section, result.Section) {
			c.section = append(c.section, result.Section)
		}
	}
	if len(causes) == 0 {
		return
	}
	slices.SortStableFunc(causes, func(a, b *cause) int { return len(b.cases) - len(a.cases) })
	fmt.Fprintln(out, "What failed, by cause, and where to read about it in protocol/PROTOCOL.md:")
	for _, c := range causes {
		fmt.Fprintf(out, "%5d  %s (%s): %s\n", len(c.cases), c.expected, strings.Join(c.section, ", "), strings.Join(c.cases, " "))
	}
}

// IDWidth is the width of a column that has the IDs of the cases.
func IDWidth(cases []Case) int {
	width := 15
	for _, c := range cases {
		width = max(width, len(c.ID))
	}
	return width
}

func (r Report) writeResult(out io.Writer, result Result, width int) {
	fmt.Fprintf(out, "%-*s %-5s %-6s  %-13s  %s\n", width, result.ID, result.Section, result.Level, result.Verdict, result.Why)
	detail := func(name, text string) {
		if text != "" {
			fmt.Fprintf(out, "    %s: %s\n", name, text)
		}
	}
	switch result.Verdict {
	case Fail:
		detail("expected", result.Expected)
		detail("happened", result.Happened)
		if !strings.Contains(result.Happened, result.Ended) {
			detail("client", result.Ended)
		}
		for line := range strings.Lines(result.Diff) {
			fmt.Fprintf(out, "        %s\n", strings.TrimSuffix(line, "\n"))
		}
	case NotSupported, NotRun:
		detail("reason", result.Happened)
	}
	switch {
	case result.KnownFailing && result.Verdict == Pass:
		detail("note", "it is in the list of known failures and passes: take it off the list")
	case result.KnownFailing && result.Verdict == Fail:
		detail("note", "a known failure: it does not count")
	case result.OwnWord && r.Counts(result):
		detail("note", "a MUST that only the client excuses itself from: name it in a profile")
	case result.Verdict == Fail && !r.Counts(result):
		detail("note", "a SHOULD: it counts in strict runs only")
	}
}

// summary counts the verdicts.
func (r Report) summary() string {
	counts := map[Verdict]int{}
	counting := 0
	for _, result := range r.Results {
		counts[result.Verdict]++
		if r.Counts(result) {
			counting++
		}
	}
	var parts []string
	for _, v := range []Verdict{Pass, Fail, NotSupported, NotRun} {
		if counts[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[v], v))
		}
	}
	text := fmt.Sprintf("%s: %s", count(len(r.Results), "case", "cases"), strings.Join(parts, ", "))
	if counting > 0 {
		text += "; " + count(counting, "counts as a failure", "count as failures")
	}
	return text
}

// count is a number with the word for it.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// took is a duration in seconds, as JUnit has it.
func took(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
