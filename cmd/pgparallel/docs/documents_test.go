package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// These tests keep the documents to what the tree is. They run at its top.

func TestMain(m *testing.M) {
	if err := os.Chdir("../../.."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

const (
	architecture = "ARCHITECTURE.md"
	contributing = "CONTRIBUTING.md"
)

var (
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	// namedFile is a code span that names a file or a directory, perhaps with
	// a declaration in it: walsender/session.go:dispatch, fault*.go, walsender/datadir.
	namedFile     = regexp.MustCompile(`^([\w.*-]+/)*[\w.*-]*(?::(\w+))?$`)
	fileExtension = regexp.MustCompile(`\.(go|md|txtar|golden|ebnf)$`)
	link          = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// documents are the pages that people read to use the program, or to change it.
func documents(t *testing.T) []string {
	t.Helper()
	names := []string{"README.md", architecture, contributing}
	pages, err := filepath.Glob("cmd/pgparallel/docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages in docs: %v", err)
	}
	for _, page := range pages {
		names = append(names, path.Join("cmd/pgparallel/docs", filepath.Base(page)))
	}
	return names
}

func readDocument(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocuments_Paths holds each path that a document names to the tree, and each
// declaration behind a path to its file. A path is relative to the top, or to the package
// that the heading or the row begins with.
func TestDocuments_Paths(t *testing.T) {
	for _, document := range documents(t) {
		heading := ""
		for line := range strings.Lines(readDocument(t, document)) {
			if strings.HasPrefix(line, "#") {
				heading = firstSpan(line)
			}
			row := ""
			if strings.HasPrefix(line, "| `") {
				row = firstSpan(line)
			}
			for _, span := range codeSpan.FindAllStringSubmatch(line, -1) {
				parts := namedFile.FindStringSubmatch(span[1])
				file, declaration, _ := strings.Cut(span[1], ":")
				if parts == nil || !isPath(file) {
					continue
				}
				if !slices.ContainsFunc([]string{"", heading, row}, func(dir string) bool { return declares(t, path.Join(dir, file), declaration) }) {
					t.Errorf("%s names %s, which is not there", document, span[0])
				}
			}
		}
	}
}

func firstSpan(line string) string {
	if span := codeSpan.FindStringSubmatch(line); span != nil {
		return span[1]
	}
	return ""
}

// isPath reports whether the text is meant as a path of the tree: it has the extension of
// a file that a document may name, or begins with a directory at the top.
func isPath(text string) bool {
	if fileExtension.MatchString(text) {
		return true
	}
	top, _, deep := strings.Cut(text, "/")
	info, err := os.Stat(top)
	return deep && err == nil && info.IsDir() && top != ".." && top != "."
}

// declares reports whether files match the pattern, and one of them declares the name at
// its top level; any does for the empty name.
func declares(t *testing.T, pattern, name string) bool {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		return name == "" || slices.Contains(declarations(t, file), name)
	})
}

// declarations are the functions, methods, types, constants and variables of a file.
func declarations(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, declaration := range parsed.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			names = append(names, d.Name.Name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					names = append(names, s.Name.Name)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

// TestDocuments_Links holds the links between the documents, and to their headings.
func TestDocuments_Links(t *testing.T) {
	for _, document := range documents(t) {
		for _, match := range link.FindAllStringSubmatch(readDocument(t, document), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			if target == "" {
				target = document
			} else {
				target = path.Join(path.Dir(document), target)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", document, target, err)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(readDocument(t, target)), anchor) {
				t.Errorf("%s links to #%s, no heading of %s", document, anchor, target)
			}
		}
	}
}

// anchors are the names by which the headings of a document are linked to.
func anchors(document string) []string {
	punctuation := regexp.MustCompile(`[^\w\- ]`)
	var names []string
	for line := range strings.Lines(document) {
		if text := strings.TrimLeft(line, "#"); text != line {
			name := punctuation.ReplaceAllString(strings.ToLower(strings.TrimSpace(text)), "")
			names = append(names, strings.ReplaceAll(name, " ", "-"))
		}
	}
	return names
}

// TestArchitecture_FloorPlan holds the floor plan to have a row for each package, and none
// for others.
func TestArchitecture_FloorPlan(t *testing.T) {
	_, plan, found := strings.Cut(readDocument(t, architecture), "\n## Floor plan\n")
	if !found {
		t.Fatal("there is no floor plan")
	}
	plan, _, _ = strings.Cut(plan, "\n#")
	var rows, packages []string
	for line := range strings.Lines(plan) {
		if strings.HasPrefix(line, "| `") {
			first, _, _ := strings.Cut(line[2:], "|")
			for _, span := range codeSpan.FindAllStringSubmatch(first, -1) {
				rows = append(rows, span[1])
			}
		}
	}
	for _, p := range listPackages(t) {
		packages = append(packages, strings.TrimPrefix(p.ImportPath, module+"/"))
	}
	slices.Sort(rows)
	slices.Sort(packages)
	if diff := cmp.Diff(packages, rows); diff != "" {
		t.Errorf("packages (-the tree +the floor plan):\n%s", diff)
	}
}

// TestContributing_Environment holds the table of environment variables to those that the
// tree uses, but for those that set options: help tells of these.
func TestContributing_Environment(t *testing.T) {
	_, serveUsage, _ := strings.Cut(readDocument(t, "cmd/pgparallel/serve.go"), "const serveUsage = `")
	serveUsage, _, found := strings.Cut(serveUsage, "`")
	if !found {
		t.Fatal("serve has no help")
	}
	variable := regexp.MustCompile(`PGPARALLEL_[A-Z_]*[A-Z]`)
	used := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == ".git":
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !entry.Type().IsRegular() || !isSource(file):
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, name := range variable.FindAllString(string(text), -1) {
			used[name] = used[name] || !strings.Contains(serveUsage, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(used, func(_ string, matters bool) bool { return !matters })
	told := map[string]bool{}
	for line := range strings.Lines(readDocument(t, contributing)) {
		if strings.HasPrefix(line, "| `PGPARALLEL_") {
			told[firstSpan(line)] = true
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(told))); diff != "" {
		t.Errorf("environment variables (-the tree +%s):\n%s", contributing, diff)
	}
}

// isSource reports whether a file is a program's, a script's or a Makefile's: the program
// itself may lie in the tree, too.
func isSource(file string) bool {
	switch path.Base(file) {
	case "Makefile", "fetch", "run":
		return true
	}
	return strings.HasSuffix(file, ".go")
}
