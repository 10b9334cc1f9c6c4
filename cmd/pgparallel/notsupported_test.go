package main

import (
	"errors"
	"regexp"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// Each option of pg_basebackup and pg_verifybackup is an option here, or one of which is
// said why it is none.
func TestForeignOptions(t *testing.T) {
	all, err := postgres.All()
	if errors.Is(err, postgres.ErrNotFound) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	line := &commandLine{}
	parser, err := newParser(line)
	if err != nil {
		t.Fatal(err)
	}
	option := regexp.MustCompile(`(?m)^ +(-\w)?(?:, |\s+)(--[a-z-]+)`)
	for _, node := range parser.Model.Children {
		program := map[string]string{"backup": "pg_basebackup", "verify": "pg_verifybackup"}[node.Name]
		if program == "" {
			continue
		}
		ours := map[string]bool{}
		for _, flag := range node.AllFlags(false) {
			for _, f := range flag {
				for _, name := range append(f.Aliases, f.Name) {
					ours["--"+name] = true
				}
			}
		}
		chosen := node.Target.Addr().Interface().(command)
		for _, foreign := range foreignOptions(chosen) {
			if ours[foreign.long] {
				t.Errorf("%s %s is one of ours", node.Name, foreign.long)
			}
		}
		for _, p := range all {
			if !p.Has(program) {
				continue
			}
			help, err := p.Run(t.Context(), program, "--help")
			if err != nil {
				t.Fatal(err)
			}
			found := option.FindAllStringSubmatch(help, -1)
			if len(found) < 6 {
				t.Errorf("%s %s has only %d options", program, p.Version, len(found))
			}
			for _, o := range found {
				if !ours[o[2]] && whyNotSupported(o[2], chosen) == "" {
					t.Errorf("%s %s has %s", program, p.Version, o[2])
				}
				if o[1] != "" && !ours[o[2]] && whyNotSupported(o[1], chosen) == "" {
					t.Errorf("%s %s has %s", program, p.Version, o[1])
				}
			}
		}
	}
}
