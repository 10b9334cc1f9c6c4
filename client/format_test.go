package client

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The run of a backup does not ask for its format: behind the checks of the options, only
// newOutput does, and only newOutput makes archives.
func TestFormat_AskedOnce(t *testing.T) {
	asks := []string{"options.go", "newoutput.go"}
	knows := []string{"compression.go", "newoutput.go"}
	files, err := filepath.Glob("*.go")
	must(t, err)
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		found++
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		must(t, err)
		for _, spec := range parsed.Imports {
			if strings.HasSuffix(spec.Path.Value, `/internal/tarball"`) && !slices.Contains(knows, name) {
				t.Errorf("%s imports tarball", name)
			}
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if s, is := n.(*ast.SelectorExpr); is && !slices.Contains(asks, name) && slices.Contains([]string{"Archive", "output"}, s.Sel.Name) {
				t.Errorf("%v: the format is asked for", set.Position(s.Pos()))
			}
			return true
		})
	}
	if found < 10 {
		t.Errorf("only %d files", found)
	}
}
