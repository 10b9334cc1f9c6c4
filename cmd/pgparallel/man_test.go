package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestManPages holds the manual pages to the options that there are, and to what mandoc and
// groff take, where these are installed.
func TestManPages(t *testing.T) {
	t.Parallel()
	parser, err := newParser(&commandLine{})
	if err != nil {
		t.Fatal(err)
	}
	r := release{version: "v1.2.3", committed: time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)}
	pages := manPages(parser.Model.Children, r)
	dir := t.TempDir()
	var files []string
	for name, text := range pages {
		file := filepath.Join(dir, name+".1")
		writeText(t, file, text)
		files = append(files, file)
	}
	for _, node := range parser.Model.Children {
		if node.Hidden {
			continue
		}
		page := pages[programName+"-"+node.Name]
		for _, group := range node.AllFlags(false) {
			for _, option := range group {
				if heading := `\fB` + roff("--"+option.Name) + `\fP`; !strings.Contains(page, heading) {
					t.Errorf("no %s in the page of %s", heading, node.Name)
				}
			}
		}
	}
	for _, linter := range [][]string{{"mandoc", "-Tlint", "-Wwarning"}, {"groff", "-man", "-ww", "-Tutf8", "-z"}} {
		if _, err := exec.LookPath(linter[0]); err != nil {
			t.Logf("%s is not installed", linter[0])
			continue
		}
		output, err := exec.Command(linter[0], append(linter[1:], files...)...).CombinedOutput()
		if err != nil || len(output) > 0 {
			t.Errorf("%s: %v\n%s", strings.Join(linter, " "), err, output)
		}
	}
}

// TestParseHelp_Entries holds what is read from the help to what stands there.
func TestParseHelp_Entries(t *testing.T) {
	for help, want := range map[string]helpOption{
		"Options:\n  -D, --pgdata=DATADIR   data directory\n":                     {"D", "pgdata", "DATADIR"},
		"Options:\n  -D, --pgdata=DIRECTORY receive base backup\n":                {"D", "pgdata", "DIRECTORY"},
		"Options:\n      --crashed          serve a cluster\n":                    {"", "crashed", ""},
		"Options:\n      --no-estimate-size do not estimate\n":                    {"", "no-estimate-size", ""},
		"Options:\n  -T, --tablespace-mapping=OLDDIR=NEWDIR\n              moved": {"T", "tablespace-mapping", "OLDDIR=NEWDIR"},
		"Options:\n  -?, --help     show this help\n":                             {"?", "help", ""},
	} {
		options := parseHelp(help).options()
		if len(options) != 1 || *options[0].option != want || options[0].text() == "" {
			t.Errorf("%q: %+v", help, options)
		}
	}
}
