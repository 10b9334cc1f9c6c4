package docs_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pgparallel/pgparallel"

// layers says for each package which others of the module it builds on, directly or not: what
// the arrows of ARCHITECTURE.md lead to. Every package is in it; the programs on top, cmd and
// examples, may use all.
func layers(t *testing.T) map[string][]string {
	t.Helper()
	arrows := map[string][]string{}
	for line := range strings.Lines(readDocument(t, architecture)) {
		if from, to, found := strings.Cut(line, "->"); found && !strings.Contains(line, "`") {
			arrows[strings.TrimSpace(from)] = strings.Fields(to)
		}
	}
	reached := map[string][]string{}
	for from := range arrows {
		seen := map[string]bool{}
		for next := slices.Clone(arrows[from]); len(next) > 0; next = next[1:] {
			if !seen[next[0]] {
				seen[next[0]] = true
				next = append(next, arrows[next[0]]...)
			}
		}
		reached[from] = slices.Sorted(maps.Keys(seen))
	}
	return reached
}

// forbidden says which packages from outside of the module a package must not import
// itself.
var forbidden = map[string][]string{
	"protocol":                           {"net", "github.com/jackc/pgx/v5/pgproto3"},
	"protocol/manifest":                  {"net", "github.com/jackc/pgx/v5/pgproto3"},
	"protocol/controlfile":               {"net", "github.com/jackc/pgx/v5/pgproto3"},
	"protocol/page":                      {"net", "github.com/jackc/pgx/v5/pgproto3"},
	"protocol/wire":                      {"net"},
	"protocol/wire/scmrights":            {},
	"grammar":                            {"net", "github.com/jackc/pgx/v5/pgproto3"},
	"sharedstate":                        {"net"},
	"walsender/datadir":                  {"net", "github.com/jackc/pgx/v5/pgproto3"},
	"walsender/datadir/internal/beneath": {"net"},
}

// listed is a package as go list describes it.
type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// TestLayers holds what each package builds on to the arrows of ARCHITECTURE.md: on these
// packages and on no others.
func TestLayers(t *testing.T) {
	layers := layers(t)
	for _, p := range listPackages(t) {
		if isProgram(p.ImportPath) {
			continue
		}
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		allowed, known := layers[name]
		if !known {
			t.Errorf("package %s has no arrow in %s", name, architecture)
		}
		for _, dep := range p.Deps {
			if sibling, ours := strings.CutPrefix(dep, module+"/"); ours && !slices.Contains(allowed, sibling) {
				t.Errorf("package %s must not build on %s", name, sibling)
			}
		}
		for _, sibling := range allowed {
			if !slices.Contains(p.Deps, module+"/"+sibling) {
				t.Errorf("package %s does not build on %s, to which its arrows in ARCHITECTURE.md lead", name, sibling)
			}
		}
		for _, path := range p.Imports {
			if slices.Contains(forbidden[name], path) {
				t.Errorf("package %s must not import %s", name, path)
			}
		}
	}
}

// TestLayers_Programs holds the programs to be on top, and to be without the testing
// package, which brings flags of its own.
func TestLayers_Programs(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, dep := range p.Deps {
			if isProgram(dep) {
				t.Errorf("package %s must not build on the program %s", p.ImportPath, dep)
			}
			if isProgram(p.ImportPath) && dep == "testing" {
				t.Errorf("program %s must not build on testing", p.ImportPath)
			}
		}
	}
}

func isProgram(path string) bool {
	return strings.HasPrefix(path, module+"/cmd/") || strings.HasPrefix(path, module+"/examples/")
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("go list: %v\n%s", err, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	var packages []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath != module { // the top, where these tests are
			packages = append(packages, p)
		}
	}
	if len(packages) < 50 {
		t.Fatalf("go list found only %d packages", len(packages))
	}
	return packages
}
