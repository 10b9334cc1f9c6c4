package client

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
)

// A server that lies writes nothing, unless a mapping permits it.
func TestTablespace_5_9_Unmapped(t *testing.T) {
	f := newFake(t)
	base := t.TempDir()
	location := filepath.Join(base, ".ssh")
	f.withTablespace("16400", location)
	err := expectFailure(t, Options{ConnConfig: f.config()}, "which the server has named, is not taken: it is hidden")
	if !strings.Contains(err.Error(), "-T "+location+"="+location) {
		t.Errorf("no hint in %v", err)
	}
	if _, err := os.Stat(location); err == nil {
		t.Error("it was created")
	}
	_, err = Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(base, "copy"), TablespaceMap: map[string]string{location: location}})
	must(t, err)
}

// That it is the server's choice is told.
func TestTablespace_5_9_UnmappedIsTold(t *testing.T) {
	f := newFake(t)
	base := t.TempDir()
	f.withTablespace("16400", filepath.Join(base, "space"))
	told := false
	plan, err := DryRun(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(base, "copy"), Log: func(e Event) {
		told = told || strings.Contains(e.Message, "which the server has named")
	}})
	must(t, err)
	if !told || len(plan.Spaces) != 2 || !plan.Spaces[1].Unmapped || plan.Spaces[0].Unmapped {
		t.Errorf("told: %v, %+v", told, plan.Spaces)
	}
}

// A list without an end ends with an error, not with the memory.
func TestListing_5_9_Memory(t *testing.T) {
	p := newListingChecker(150000, nil)
	p.memory = 1 << 20
	for i := range 1 << 20 {
		if err := p.add(0, protocol.File{Path: fmt.Sprint(i), Type: protocol.TypeFile, ModTime: fakeTime}); err != nil {
			if i < 1000 || !strings.Contains(err.Error(), "more files than there is memory for") {
				t.Errorf("file %d: %v", i, err)
			}
			return
		}
	}
	t.Error("there is no end")
}
