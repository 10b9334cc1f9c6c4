package client

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
)

// Large files that are not PostgreSQL's, as memory dumps, are told of before they are
// copied (B36).
func TestForeign_Large(t *testing.T) {
	for _, test := range []struct {
		files map[string]int64
		want  string // empty: nothing is told
	}{
		{map[string]int64{"core.4711": 3 << 30, "log/old.log": 1 << 30}, `: 2 with 4194304 kB (file "core.4711" has 3145728 kB)`},
		{map[string]int64{"log/new.log": 1 << 29, "core": 8192, "base/1/16390": 1 << 30}, ""},
	} {
		f := newFake(t)
		f.listed = func(rows []protocol.File) []protocol.File {
			rows = append(rows, protocol.File{Path: "log", Type: protocol.TypeDirectory, ModTime: fakeTime})
			for name, size := range test.files {
				rows = append(rows, protocol.File{Path: name, Type: protocol.TypeFile, Size: size, ModTime: fakeTime})
			}
			return rows
		}
		told := ""
		_, err := DryRun(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), Log: func(e Event) {
			if e.Level == LevelWarning && strings.Contains(e.Message, "not PostgreSQL's") {
				told += e.Message
			}
		}})
		must(t, err)
		if (told != "") != (test.want != "") || !strings.HasSuffix(told, test.want) {
			t.Errorf("%v: it told %q", test.files, told)
		}
	}
}
