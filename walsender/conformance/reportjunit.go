package conformance

import (
	"encoding/xml"
	"io"
)

// The elements of JUnit's reports, as far as they are used.
type (
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure"`
		Error   *junitMessage `xml:"error"`
		Skipped *junitMessage `xml:"skipped"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the report in the XML of JUnit. What counts as a failure is one,
// what was not run an error; what does not count is skipped, with the reason. The errors
// are those of w.
func (r Report) WriteJUnit(w io.Writer) error {
	suite := junitSuite{Name: "pgparallel conform", Tests: len(r.Results)}
	for _, result := range r.Results {
		c := junitCase{Class: "conform." + result.Area(), Name: result.ID, Time: took(result.Duration), Output: result.Output}
		message := &junitMessage{result.Happened, result.Why + "\nexpected: " + result.Expected + "\nhappened: " + result.Happened}
		if result.Ended != "" {
			message.Text += "\nclient: " + result.Ended
		}
		if result.Diff != "" {
			message.Text += "\n" + result.Diff
		}
		switch {
		case result.Verdict == NotRun && !result.Optional:
			c.Error = message
			suite.Errors++
		case r.Counts(result) && result.Verdict == Pass:
			c.Failure = &junitMessage{"a known failure passes", "take it off the list of known failures"}
			suite.Failures++
		case r.Counts(result):
			c.Failure = message
			suite.Failures++
		case result.Verdict != Pass:
			c.Skipped = message
			suite.Skipped++
		}
		suite.Cases = append(suite.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suite); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
