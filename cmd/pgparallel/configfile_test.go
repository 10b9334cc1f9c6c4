package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseConfig(t *testing.T) {
	for text, want := range map[string]setting{
		"port = 1":                        {name: "port", value: "1"},
		"  Port\t1 # one":                 {name: "port", value: "1"},
		"pgdata=/srv/pg/main#here":        {name: "pgdata", value: "/srv/pg/main"},
		"log-format = json\r":             {name: "log-format", value: "json"},
		"cluster = 'user=a dbname=''b'''": {name: "cluster", value: "user=a dbname='b'"},
		`hba = 'a\\b\'c\td'`:              {name: "hba", value: `a\b'c` + "\td"},
		"hba = ''":                        {name: "hba", value: ""},
	} {
		want.line = 2
		got := parseConfig("# first\n" + text + "\n\n")
		if diff := cmp.Diff([]setting{want}, got, cmp.AllowUnexported(setting{})); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

// Every value can be written.
func TestParseConfig_Quoted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[^\n\r]*`).Draw(t, "value")
		quoted := "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(value) + "'"
		got := parseConfig("name = " + quoted + " # comment")
		if len(got) != 1 || got[0].err != nil || got[0].value != value {
			t.Errorf("%s is read as %+v", quoted, got)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add("a = b\n# c\nd 'e''f' # g")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range parseConfig(text) {
			if s.line < 1 || s.err == nil && (s.name == "" || strings.ContainsAny(s.name, " =#'")) {
				t.Errorf("%q is read as %+v", text, s)
			}
		}
	})
}

func TestParseBool(t *testing.T) {
	for text, want := range map[string]bool{
		"on": true, "ON": true, "t": true, "true": true, "y": true, "yes": true, "1": true,
		"of": false, "off": false, "f": false, "False": false, "n": false, "no": false, "0": false,
	} {
		if got, known := parseBool(text); !known || got != want {
			t.Errorf("%q is %v, %v", text, got, known)
		}
	}
	for _, text := range []string{"", "o", "onn", "2", "enable", " on"} {
		if _, known := parseBool(text); known {
			t.Errorf("%q is known", text)
		}
	}
}
