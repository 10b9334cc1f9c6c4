package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pgparallel/pgparallel"

// layers says for each package which others of the module it builds on, directly or
// not: on these and on no others. Every package is in it; the programs on top, cmd and
// examples, may use all.
var layers = map[string][]string{
	"protocol":                                 {},
	"protocol/conninfo":                        {},
	"protocol/controlfile":                     {"protocol", "protocol/page"},
	"protocol/internal/protocoltest":           {"protocol"},
	"protocol/manifest":                        {"protocol"},
	"protocol/page":                            {"protocol"},
	"protocol/tarheader":                       {},
	"protocol/walrecord":                       {"protocol"},
	"protocol/walrecord/walrecordtest":         {"protocol"},
	"protocol/wire":                            {"protocol"},
	"protocol/wire/scmrights":                  {},
	"grammar":                                  {"protocol"},
	"walsender/walsendertest/longtest":         {},
	"sharedstate":                              {"protocol"},
	"client/internal/output":                   {"protocol", "protocol/manifest"},
	"client/internal/datatree":                 {"client/internal/output", "protocol", "protocol/controlfile", "protocol/manifest", "protocol/page"},
	"client/internal/tarball":                  {"client/internal/output", "client/internal/datatree", "protocol", "protocol/controlfile", "protocol/manifest", "protocol/page", "protocol/tarheader"},
	"client/internal/verify":                   {"client/internal/output", "client/internal/datatree", "protocol", "protocol/controlfile", "protocol/manifest", "protocol/page", "protocol/walrecord"},
	"client/internal/refresh":                  {"client/internal/output", "client/internal/wire", "grammar", "protocol", "protocol/conninfo", "protocol/manifest", "protocol/wire", "protocol/wire/scmrights"},
	"client/internal/outputtest":               {"client/internal/output", "protocol", "protocol/manifest"},
	"client/internal/walstream":                {"client/internal/output", "client/internal/wire", "grammar", "protocol", "protocol/conninfo", "protocol/manifest", "protocol/walrecord", "protocol/wire", "protocol/wire/scmrights"},
	"client/internal/wire":                     {"protocol", "protocol/conninfo", "protocol/wire", "protocol/wire/scmrights"},
	"client":                                   {"client/internal/refresh", "client/internal/output", "client/internal/datatree", "client/internal/tarball", "client/internal/verify", "client/internal/walstream", "client/internal/wire", "grammar", "protocol", "protocol/conninfo", "protocol/controlfile", "protocol/manifest", "protocol/page", "protocol/tarheader", "protocol/walrecord", "protocol/wire", "protocol/wire/scmrights"},
	"walsender/internal/slots":                 {"protocol"},
	"walsender/internal/walreader":             {"protocol", "protocol/walrecord"},
	"walsender":                                {"protocol", "protocol/manifest", "protocol/tarheader", "protocol/wire", "protocol/wire/scmrights", "grammar", "sharedstate", "walsender/internal/basebackup", "walsender/internal/compression", "walsender/internal/digestcache", "walsender/internal/passthrough", "walsender/internal/peer", "walsender/internal/spool", "protocol/walrecord", "walsender/internal/slots", "walsender/internal/walreader"},
	"walsender/internal/basebackup":            {"protocol", "protocol/manifest", "protocol/tarheader", "protocol/wire", "grammar", "walsender/internal/compression", "walsender/internal/spool"},
	"walsender/internal/compression":           {"protocol"},
	"walsender/internal/passthrough":           {"protocol", "protocol/wire", "grammar", "walsender/internal/peer"},
	"walsender/internal/peer":                  {"protocol", "grammar"},
	"walsender/internal/spool":                 {},
	"walsender/internal/digestcache":           {"protocol", "protocol/manifest"},
	"walsender/tlsfiles":                       {},
	"walsender/auth":                           {"protocol", "protocol/wire", "protocol/wire/scmrights", "grammar", "sharedstate", "walsender", "protocol/manifest", "protocol/tarheader", "walsender/internal/basebackup", "walsender/internal/compression", "walsender/internal/digestcache", "walsender/internal/passthrough", "walsender/internal/peer", "walsender/internal/spool", "protocol/walrecord", "walsender/internal/slots", "walsender/internal/walreader"},
	"walsender/livecluster":                    {"protocol", "protocol/controlfile", "protocol/conninfo", "protocol/page", "protocol/walrecord", "protocol/wire", "protocol/wire/scmrights", "grammar", "sharedstate", "walsender", "walsender/datadir", "walsender/datadir/internal/archive", "walsender/datadir/internal/beneath", "protocol/manifest", "protocol/tarheader", "walsender/internal/basebackup", "walsender/internal/compression", "walsender/internal/digestcache", "walsender/internal/passthrough", "walsender/internal/peer", "walsender/internal/spool", "walsender/internal/slots", "walsender/internal/walreader"},
	"walsender/conformance":                    {"protocol", "protocol/controlfile", "protocol/manifest", "protocol/page", "protocol/walrecord", "protocol/wire", "protocol/wire/scmrights", "grammar", "sharedstate", "walsender", "walsender/datadir", "walsender/datadir/internal/archive", "walsender/datadir/internal/beneath", "walsender/walsendertest", "walsender/conformance/internal/clientkit", "walsender/conformance/internal/serverkit", "walsender/conformance/internal/rule", "protocol/tarheader", "walsender/internal/basebackup", "walsender/internal/compression", "walsender/internal/digestcache", "walsender/internal/passthrough", "walsender/internal/peer", "walsender/internal/spool", "walsender/internal/slots", "walsender/internal/walreader"},
	"walsender/conformance/internal/clientkit": {"protocol", "protocol/controlfile", "protocol/manifest", "protocol/page", "protocol/walrecord", "protocol/wire", "protocol/wire/scmrights", "grammar", "sharedstate", "walsender", "walsender/datadir", "walsender/datadir/internal/archive", "walsender/datadir/internal/beneath", "walsender/walsendertest", "walsender/conformance/internal/rule", "protocol/tarheader", "walsender/internal/basebackup", "walsender/internal/compression", "walsender/internal/digestcache", "walsender/internal/passthrough", "walsender/internal/peer", "walsender/internal/spool", "walsender/internal/slots", "walsender/internal/walreader"},
	"walsender/conformance/internal/serverkit": {"protocol", "protocol/controlfile", "protocol/manifest", "protocol/page", "protocol/wire", "protocol/wire/scmrights", "walsender/conformance/internal/rule"},
	"walsender/conformance/internal/rule":      {},
	"walsender/datadir":                        {"protocol", "protocol/controlfile", "protocol/page", "protocol/walrecord", "walsender/datadir/internal/archive", "walsender/datadir/internal/beneath"},
	"walsender/datadir/internal/archive":       {"protocol", "walsender/datadir/internal/beneath"},
	"walsender/datadir/internal/beneath":       {},
	"walsender/backupdir":                      {"protocol", "protocol/controlfile", "protocol/manifest", "protocol/page", "protocol/walrecord", "walsender/datadir", "walsender/datadir/internal/archive", "walsender/datadir/internal/beneath"},
	"walsender/walsendertest":                  {"protocol", "protocol/controlfile", "protocol/page", "protocol/walrecord", "protocol/wire", "protocol/wire/scmrights", "grammar", "sharedstate", "walsender", "walsender/datadir", "walsender/datadir/internal/archive", "walsender/datadir/internal/beneath", "protocol/manifest", "protocol/tarheader", "walsender/internal/basebackup", "walsender/internal/compression", "walsender/internal/digestcache", "walsender/internal/passthrough", "walsender/internal/peer", "walsender/internal/spool", "walsender/internal/slots", "walsender/internal/walreader"},
	"walsender/walsendertest/postgres":         {},
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

func TestLayers(t *testing.T) {
	for _, p := range listPackages(t) {
		if isProgram(p.ImportPath) {
			continue
		}
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		allowed, known := layers[name]
		if !known {
			t.Errorf("package %s has no place in the layers", name)
		}
		for _, dep := range p.Deps {
			if sibling, ours := strings.CutPrefix(dep, module+"/"); ours && !slices.Contains(allowed, sibling) {
				t.Errorf("package %s must not build on %s", name, sibling)
			}
		}
		for _, sibling := range allowed {
			if !slices.Contains(p.Deps, module+"/"+sibling) {
				t.Errorf("package %s does not build on %s, which the layers allow", name, sibling)
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
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"/...")
	cmd.Dir = "../.."
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
		packages = append(packages, p)
	}
	if len(packages) < len(layers) {
		t.Fatalf("go list found only %d packages", len(packages))
	}
	return packages
}
