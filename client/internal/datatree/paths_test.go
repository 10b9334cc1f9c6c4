package datatree

import (
	"path/filepath"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

func TestAbsolute(t *testing.T) {
	base := outputtest.Linked(t)
	t.Chdir(base)
	for path, want := range map[string]string{
		"x": "x", "./x//y/.": "x/y", "link/x": "link/x", "link/../c": "real/c", "link/..": "real", "link/../../c": "c", "real/../c": "c", "..x/y..": "..x/y..",
	} {
		got, err := Absolute(path)
		if err != nil || got != filepath.Join(base, want) {
			t.Errorf("%s: got %q, %v", path, got, err)
		}
	}
	if got, err := Absolute("absent/../c"); err == nil {
		t.Errorf("the way to nowhere leads to %s", got)
	}
}

func TestOverlap(t *testing.T) {
	base := outputtest.Linked(t)
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"link", "real/data", true},
		{"link/data", "real/data/data/ts", true},
		{"real/data/new/ts", "link/new", true},
		{"real/data/new", "link/newer", false},
		{"real/other", "link", false},
		{"new", "new/x/y", true},
		{"new", "new2", false},
		{"real", "link/x", true},
	} {
		for range 2 {
			got, err := Overlap(filepath.Join(base, test.a), filepath.Join(base, test.b))
			outputtest.Must(t, err)
			if got != test.want {
				t.Errorf("%s and %s: %v", test.a, test.b, got)
			}
			test.a, test.b = test.b, test.a
		}
	}
}
