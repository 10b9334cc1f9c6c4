package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestUsage_MentionsEveryOption holds the help texts, which are written by hand,
// to the options that there are.
func TestUsage_MentionsEveryOption(t *testing.T) {
	parser, err := newParser(&commandLine{})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range parser.Model.Children {
		t.Run(node.Name, func(t *testing.T) {
			usage := node.Target.Addr().Interface().(command).usage()
			for _, group := range node.AllFlags(false) {
				for _, option := range group {
					if !strings.Contains(usage, entryStart(option)) {
						t.Errorf("no %q in:\n%s", entryStart(option), usage)
					}
				}
			}
			if got, want := strings.Count(usage, "\n  -")+strings.Count(usage, "\n      --"), optionCount(node); got != want {
				t.Errorf("%d options are mentioned, there are %d", got, want)
			}
			if !node.Hidden && !strings.Contains(programUsage, "\n  "+node.Name+" ") {
				t.Errorf("no %q in:\n%s", node.Name, programUsage)
			}
		})
	}
}

// TestUsage_FitsTheScreen holds every line to the width of PostgreSQL's help.
func TestUsage_FitsTheScreen(t *testing.T) {
	for _, usage := range []string{programUsage, serveUsage, backupUsage, verifyUsage, demoUsage, completionUsage, manUsage} {
		for line := range strings.Lines(usage) {
			if len(line) > 81 {
				t.Errorf("%d characters: %s", len(line)-1, line)
			}
		}
	}
}

// entryStart is how an option's entry begins.
func entryStart(option *kong.Flag) string {
	name := "      --" + option.Name
	if option.Short != 0 {
		name = "  -" + string(option.Short) + ", --" + option.Name
	}
	if option.IsBool() {
		return name
	}
	return name + "="
}

func optionCount(node *kong.Node) int {
	n := 0
	for _, group := range node.AllFlags(false) {
		n += len(group)
	}
	return n
}
