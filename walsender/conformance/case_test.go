package conformance

import (
	"regexp"
	"strings"
	"testing"
)

// TestCases_Form holds every case to have what a stranger needs.
func TestCases_Form(t *testing.T) {
	id := regexp.MustCompile(`^(S-)?[A-Z]+/\d{3}$`)
	section := regexp.MustCompile(`^§[1-9](\.\d+)?$`)
	sentence := regexp.MustCompile(`\. [A-Z]`) // the end of one and the beginning of another
	seen := map[string]bool{}
	for _, c := range append(Cases(), ServerCases()...) {
		switch {
		case !id.MatchString(c.ID), seen[c.ID]:
			t.Errorf("%s is no ID, or not the only one", c.ID)
		case !section.MatchString(c.Section):
			t.Errorf("%s: %q is no section", c.ID, c.Section)
		case c.Level != Must && c.Level != Should:
			t.Errorf("%s: level %q", c.ID, c.Level)
		case !strings.HasSuffix(c.Why, ".") || sentence.MatchString(c.Why) || len(c.Why) > 150:
			t.Errorf("%s: %q is not one sentence", c.ID, c.Why)
		}
		seen[c.ID] = true
	}
}

// TestCases_5 holds the kit to have a case for each section of what a client does.
func TestCases_5(t *testing.T) {
	covered := map[string]bool{}
	for _, c := range Cases() {
		covered[c.Section] = true
	}
	for _, section := range strings.Fields("§5.1 §5.2 §5.3 §5.4 §5.5 §5.6 §5.7 §5.8 §5.9 §5.10 §5.11 §5.12 §5.14 §2.1 §2.2 §2.4 §4.3 §4.8 §8.1 §8.4") {
		if !covered[section] {
			t.Errorf("no case is about %s", section)
		}
	}
	if n := len(Cases()); n < 60 {
		t.Errorf("there are only %d cases", n)
	}
}

func TestSelect(t *testing.T) {
	cases := []Case{{ID: "WAL/001"}, {ID: "WAL/002"}, {ID: "WALL/001"}, {ID: "S-FILE/001"}}
	for patterns, want := range map[string]string{
		"":               "WAL/001 WAL/002 WALL/001 S-FILE/001",
		"WAL":            "WAL/001 WAL/002",
		"WAL/002":        "WAL/002",
		"*/001":          "WAL/001 WALL/001 S-FILE/001",
		"WALL/* WAL/00?": "WAL/001 WAL/002 WALL/001",
		"wal":            "no case matches wal",
		"WAL/001 W":      "no case matches W",
		"FILE/001":       "no case matches FILE/001: cases for servers are named S-FILE/…",
		"WAL/[":          `malformed pattern "WAL/[": syntax error in pattern`,
	} {
		found, err := Select(cases, strings.Fields(patterns))
		var ids []string
		for _, c := range found {
			ids = append(ids, c.ID)
		}
		got := strings.Join(ids, " ")
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", patterns, got, want)
		}
	}
}
