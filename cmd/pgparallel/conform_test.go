package main

import (
	"strings"
	"testing"
)

func TestConformUsage_FitsTheScreen(t *testing.T) {
	for line := range strings.Lines(conformUsage) {
		if len(line) > 81 {
			t.Errorf("%d characters: %s", len(line)-1, line)
		}
	}
}

func TestShellWords(t *testing.T) {
	got := shellWords([]string{"backup", "-D", "{dir}", "it's", "", "a b", "-T{tablespace-old}={tablespace-new}"})
	want := `backup -D {dir} 'it'\''s' '' 'a b' -T{tablespace-old}={tablespace-new}`
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
