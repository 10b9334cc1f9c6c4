package client

import (
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

// Only an init fork that is new, of a relation that was copied, is written: a server can
// name nothing else.
func TestListing_5_14_LacksInitFork(t *testing.T) {
	p := newListingChecker(150000, []protocol.Tablespace{{OID: 16400, Location: "/ts"}})
	rows := []protocol.File{
		{Path: "PG_VERSION", Type: protocol.TypeFile}, {Path: "base", Type: protocol.TypeDirectory}, {Path: "base/5", Type: protocol.TypeDirectory},
		{Path: "base/5/16384", Type: protocol.TypeFile}, {Path: "base/5/16385_vm", Type: protocol.TypeFile},
		{Path: "base/5/16386", Type: protocol.TypeFile}, {Path: "base/5/16386_init", Type: protocol.TypeFile},
		{Path: "base/5/16387", Type: protocol.TypeFile}, {Path: "base/5/notes", Type: protocol.TypeFile},
		{Path: "global", Type: protocol.TypeDirectory}, {Path: output.ControlFile, Type: protocol.TypeFile},
	}
	for _, row := range rows {
		must(t, p.add(0, row))
	}
	plan, err := p.finish()
	must(t, err)
	for i := range int32(plan.Files.Len()) {
		f := plan.Files.At(i)
		f.Gone = f.Path == "base/5/16387"
	}
	for path, want := range map[string]bool{
		"base/5/16384_init":      true,
		"base/5/16385_init":      true,
		"base/5/16386_init":      false, // copied
		"base/5/16387_init":      false, // nothing is in its way
		"base/5/16388_init":      false,
		"base/5/16384_init.1":    false,
		"base/5/16384":           false,
		"base/5/notes_init":      false,
		"base/6/16384_init":      false,
		"base/5/../16384_init":   false,
		"16384_init":             false,
		"global/pg_control_init": false,
	} {
		if got := lacksInitFork(plan, path); got != want {
			t.Errorf("%s is lacking: %v, want %v", path, got, want)
		}
	}
}
