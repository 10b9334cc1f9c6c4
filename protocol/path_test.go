package protocol_test

import (
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/internal/protocoltest"
)

func TestCheckPath_4_6(t *testing.T) {
	for _, name := range []string{
		"PG_VERSION", "base/1/1259", "pg_tblspc/16400/PG_15_202209061/5/16401", "..a", "a..", "a/..b", ".hidden", "a b'\"\n", "\xff",
	} {
		if err := protocol.CheckPath(name); err != nil {
			t.Errorf("CheckPath(%q): %v", name, err)
		}
	}
	for _, name := range []string{
		"", ".", "..", "/", "/etc/passwd", "a/", "a//b", "//a", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "a/../../b", "../..",
	} {
		protocoltest.WantError(t, name, protocol.CheckPath(name), protocol.Error{
			Severity: "ERROR", Code: "22023", Message: `invalid file path "` + name + `"`,
		})
	}
	if protocol.CheckPath("a\x00b") == nil {
		t.Error("CheckPath accepts NUL")
	}
}

func FuzzCheckPath(f *testing.F) {
	f.Add("base/1/1259")
	f.Add("a/../b")
	f.Add("a/..b/.c/...")
	f.Add("a//b/")
	f.Fuzz(func(t *testing.T, name string) {
		isPath := filepath.IsLocal(name) && path.Clean(name) == name && name != "." && !strings.Contains(name, "\x00")
		if accepted := protocol.CheckPath(name) == nil; accepted != isPath {
			t.Errorf("CheckPath accepts %q: %v", name, accepted)
		}
	})
}
