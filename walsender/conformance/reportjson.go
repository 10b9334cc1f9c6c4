package conformance

import (
	"encoding/json"
	"io"
	"time"
)

// WriteJSON writes the report as one object: seed, strict, ok, and results, each with
// id, section, level, why, verdict, counts, and where there are any expected, happened,
// known_failing, output, ended, diff; and seconds, to the millisecond. The errors are those of w.
func (r Report) WriteJSON(w io.Writer) error {
	type result struct {
		ID           string  `json:"id"`
		Section      string  `json:"section"`
		Level        Level   `json:"level"`
		Why          string  `json:"why"`
		Verdict      Verdict `json:"verdict"`
		Counts       bool    `json:"counts"` // as a failure
		Expected     string  `json:"expected,omitempty"`
		Happened     string  `json:"happened,omitempty"`
		KnownFailing bool    `json:"known_failing,omitempty"`
		Output       string  `json:"output,omitempty"`
		Ended        string  `json:"ended,omitempty"`
		Diff         string  `json:"diff,omitempty"`
		Seconds      float64 `json:"seconds"`
	}
	report := struct {
		Seed    uint64   `json:"seed"`
		Strict  bool     `json:"strict"`
		OK      bool     `json:"ok"`
		Results []result `json:"results"`
	}{r.Seed, r.Strict, r.OK(), []result{}}
	for _, v := range r.Results {
		report.Results = append(report.Results, result{
			ID: v.ID, Section: v.Section, Level: v.Level, Why: v.Why, Verdict: v.Verdict, Counts: r.Counts(v),
			Expected: v.Expected, Happened: v.Happened, KnownFailing: v.KnownFailing, Output: v.Output,
			Ended: v.Ended, Diff: v.Diff, Seconds: v.Duration.Round(time.Millisecond).Seconds(),
		})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}
