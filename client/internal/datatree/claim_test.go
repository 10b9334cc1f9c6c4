package datatree

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

// plainly is a tree of which nothing is claimed yet.
func plainly(t testing.TB) *Tree {
	return &Tree{Config: Config{NoSync: true, Log: outputtest.Log(t)}, dirMode: 0o700}
}

// claimedTree is a tree that is claimed, with tablespaces.
func claimedTree(t testing.TB, dir string, spaces ...output.Tablespace) *Tree {
	t.Helper()
	tree, err := New(Config{Dir: dir, NoSync: true, Log: outputtest.Log(t)})
	if err == nil {
		_, err = tree.Locate(spaces)
	}
	if err == nil {
		err = tree.Claim(t.Context(), output.Cluster{DirectoryMode: 0o700}, 16)
	}
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestClaim(t *testing.T) {
	for name, path := range map[string]string{"absent": "absent", "deep": "a/b/c/d", "empty": "empty", "through a link": "link", "below a link": "link/x"} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			outputtest.Must(t, os.Mkdir(filepath.Join(parent, "empty"), 0o705))
			outputtest.Must(t, os.MkdirAll(filepath.Join(parent, "elsewhere"), 0o711))
			outputtest.Must(t, os.Symlink("elsewhere", filepath.Join(parent, "link")))
			before := outputtest.Tree(t, parent)
			p, err := plainly(t).claim(filepath.Join(parent, path))
			outputtest.Must(t, err)
			outputtest.Must(t, p.root.MkdirAll("x/y", 0o700))
			outputtest.Must(t, p.root.WriteFile("x/y/z", nil, 0o600))
			outputtest.Must(t, p.root.Symlink(parent, "x/up"))
			outputtest.Must(t, p.root.WriteFile(".hidden", nil, 0o600))
			outputtest.Must(t, p.restore())
			outputtest.SameTree(t, before, parent)
		})
	}
}

func TestClaim_NotVacant(t *testing.T) {
	parent := t.TempDir()
	outputtest.Must(t, os.WriteFile(filepath.Join(parent, "file"), nil, 0o600))
	outputtest.Must(t, os.Mkdir(filepath.Join(parent, "full"), 0o700))
	outputtest.Must(t, os.WriteFile(filepath.Join(parent, "full/.hidden"), nil, 0o600))
	outputtest.Must(t, os.Symlink("nowhere", filepath.Join(parent, "dangling")))
	before := outputtest.Tree(t, parent)
	for _, path := range []string{"file", "file/below", "full", "dangling"} {
		if _, err := plainly(t).claim(filepath.Join(parent, path)); err == nil {
			t.Errorf("%s can be occupied", path)
		}
		outputtest.SameTree(t, before, parent)
	}
}

// Of two backups that find the same directory empty, only one may ever remove what is
// in it.
func TestClaim_5_3_TwoBackups(t *testing.T) {
	for _, exists := range []bool{true, false} {
		parent := t.TempDir()
		dir := filepath.Join(parent, "copy")
		if exists {
			outputtest.Must(t, os.Mkdir(dir, 0o755))
		}
		first := &claimed{path: dir}
		outputtest.Must(t, first.makeDirectories(0o700))
		outputtest.Must(t, first.mark(false))
		outputtest.Must(t, first.root.WriteFile("precious", nil, 0o600))

		// The second has looked before the first wrote its marker.
		second := &claimed{path: dir}
		if err := second.mark(false); err == nil || !strings.Contains(err.Error(), "is being written by another backup") {
			t.Errorf("the second backup: %v", err)
		}
		outputtest.Must(t, second.restore())
		if _, err := os.Stat(filepath.Join(dir, "precious")); err != nil {
			t.Errorf("the second backup removed what the first had written: %v", err)
		}
		first.close()
	}
}

func TestClaim_5_3_SharedParents(t *testing.T) {
	parent := t.TempDir()
	before := outputtest.Tree(t, parent)
	var spaces []output.Tablespace
	for oid, name := range []string{"new/a", "new/spaces/b", "new/spaces/c"} {
		spaces = append(spaces, output.Tablespace{OID: uint32(oid + 1), Location: filepath.Join(parent, name), Mapped: true})
	}
	claimedTree(t, filepath.Join(parent, "new/data"), spaces...).Undo()
	outputtest.SameTree(t, before, parent)
}

func TestClaim_5_3_ModeAsBefore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "copy")
	outputtest.Must(t, os.Mkdir(dir, 0o700))
	outputtest.Must(t, os.Chmod(dir, 0o755|fs.ModeSetgid|fs.ModeSticky))
	claimedTree(t, dir).Undo()
	info, err := os.Stat(dir)
	outputtest.Must(t, err)
	if info.Mode() != fs.ModeDir|fs.ModeSetgid|fs.ModeSticky|0o755 {
		t.Errorf("the mode is %v", info.Mode())
	}
}
