package client

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPlace(t *testing.T) {
	for name, path := range map[string]string{"absent": "absent", "deep": "a/b/c/d", "empty": "empty", "through a link": "link", "below a link": "link/x"} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			must(t, os.Mkdir(filepath.Join(parent, "empty"), 0o705))
			must(t, os.MkdirAll(filepath.Join(parent, "elsewhere"), 0o711))
			must(t, os.Symlink("elsewhere", filepath.Join(parent, "link")))
			before := tree(t, parent)
			p, err := occupy(filepath.Join(parent, path), 0o700)
			must(t, err)
			must(t, p.root.MkdirAll("x/y", 0o700))
			must(t, p.root.WriteFile("x/y/z", nil, 0o600))
			must(t, p.root.Symlink(parent, "x/up"))
			must(t, p.root.WriteFile(".hidden", nil, 0o600))
			must(t, p.vacate())
			sameTree(t, before, parent)
		})
	}
}

func TestPlace_NotVacant(t *testing.T) {
	parent := t.TempDir()
	must(t, os.WriteFile(filepath.Join(parent, "file"), nil, 0o600))
	must(t, os.Mkdir(filepath.Join(parent, "full"), 0o700))
	must(t, os.WriteFile(filepath.Join(parent, "full/.hidden"), nil, 0o600))
	must(t, os.Symlink("nowhere", filepath.Join(parent, "dangling")))
	before := tree(t, parent)
	for _, path := range []string{"file", "file/below", "full", "dangling"} {
		if _, err := occupy(filepath.Join(parent, path), 0o700); err == nil {
			t.Errorf("%s can be occupied", path)
		}
		sameTree(t, before, parent)
	}
}
