package conformance

import (
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sampleReport has a result of every kind.
func sampleReport() Report {
	result := func(id string, level Level, v Verdict, known bool) Result {
		r := Result{
			Case:    Case{ID: id, Section: "§5.3", Level: level, Why: "A directory that was not there is gone again."},
			Verdict: v, KnownFailing: known, Duration: 1500*time.Millisecond + 1234*time.Nanosecond,
		}
		switch v {
		case Fail:
			r.Expected, r.Happened, r.Output = "the target is as it was before", "data was <left> behind", "error: \x1b lost\n"
			r.Ended = "it ended with exit status 1, saying: error: lost"
		case NotSupported, NotRun:
			r.Happened = "no argument of the client has {wal}"
		}
		return r
	}
	return Report{Seed: 7, Results: []Result{
		result("AREA/001", Must, Pass, false),
		result("AREA/002", Must, Fail, false),
		result("AREA/003", Should, Fail, false),
		result("AREA/004", Must, Fail, true),
		result("AREA/005", Must, Pass, true),
		result("AREA/006", Must, NotSupported, false),
		result("AREA/007", Must, NotRun, false),
	}}
}

func TestReport_Counts(t *testing.T) {
	r := sampleReport()
	for strict, want := range map[bool]string{
		false: "AREA/002 AREA/005 AREA/007",
		true:  "AREA/002 AREA/003 AREA/005 AREA/007",
	} {
		r.Strict = strict
		var counting []string
		for _, result := range r.Results {
			if r.Counts(result) {
				counting = append(counting, result.ID)
			}
		}
		if got := strings.Join(counting, " "); got != want {
			t.Errorf("strict %v: %s count, want %s", strict, got, want)
		}
	}
}

// TestReport_OK holds a run that proved nothing to be no success.
func TestReport_OK(t *testing.T) {
	all := sampleReport().Results
	for _, test := range []struct {
		name    string
		results []Result
		want    bool
	}{
		{"none", nil, false},
		{"passed", all[:1], true},
		{"failed", all[:2], false},
		{"should failed", []Result{all[0], all[2]}, true},
		{"known failure", all[3:4], true},
		{"known failure passes", []Result{all[0], all[4]}, false},
		{"not supported", all[5:6], false},
		{"not run", []Result{all[0], all[6]}, false},
	} {
		if got := (Report{Results: test.results}).OK(); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestReport_Written(t *testing.T) {
	for _, test := range []struct {
		golden string
		write  func(Report, *strings.Builder) error
	}{
		{"report.txt", func(r Report, w *strings.Builder) error { return r.WriteTable(w) }},
		{"report.json", func(r Report, w *strings.Builder) error { return r.WriteJSON(w) }},
		{"report.xml", func(r Report, w *strings.Builder) error { return r.WriteJUnit(w) }},
	} {
		var got strings.Builder
		if err := test.write(sampleReport(), &got); err != nil {
			t.Fatal(err)
		}
		golden := "testdata/" + test.golden
		if flag.Lookup("update").Value.String() == "true" {
			if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", golden, diff)
		}
	}
}

// TestReport_WellFormed has the parsers of Go read what is written.
func TestReport_WellFormed(t *testing.T) {
	var out strings.Builder
	if err := sampleReport().WriteJUnit(&out); err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal([]byte(out.String()), &junitSuite{}); err != nil {
		t.Error(err)
	}
	out.Reset()
	if err := sampleReport().WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	if !json.Valid([]byte(out.String())) {
		t.Error("no valid JSON")
	}
}
