package tarball

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/datatree"
	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

// appendOnlyFile is one of a file system that writes from the beginning to the end.
type appendOnlyFile struct {
	*os.File
	written int64
}

func (f *appendOnlyFile) WriteAt(p []byte, offset int64) (int, error) {
	if offset != f.written {
		return 0, errors.New("invalid argument")
	}
	n, err := f.File.Write(p)
	f.written += int64(n)
	return n, err
}

func TestProbe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "copy")
	tree, err := datatree.New(datatree.Config{Dir: dir, Log: outputtest.Log(t)})
	outputtest.Must(t, err)
	outputtest.Must(t, tree.ClaimDirectory(output.Cluster{DirectoryMode: 0o700}))
	defer tree.Undo()
	before := outputtest.Tree(t, dir)
	if anywhere, err := probe(tree); !anywhere || err != nil {
		t.Errorf("probe of an ordinary directory: %v, %v", anywhere, err)
	}
	outputtest.SameTree(t, before, dir)

	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	outputtest.Must(t, err)
	defer f.Close()
	if writesAnywhere(&appendOnlyFile{File: f}) {
		t.Error("a file that can only be appended to is taken for an ordinary one")
	}
}

// Archives are written from the beginning to the end where nothing else is possible: a
// member that is lost in the middle leaves nothing that would have to be cut off.
func TestArchive_AppendOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "copy")
	tree, err := datatree.New(datatree.Config{Dir: dir, Log: outputtest.Log(t)})
	outputtest.Must(t, err)
	a := New(Config{Tree: tree})
	outputtest.Must(t, a.Claim(t.Context(), output.Cluster{DirectoryMode: 0o700}, 1))
	defer a.Undo()
	a.appendOnly = true
	base, err := a.begin("base.tar")
	outputtest.Must(t, err)
	stream, is := base.(*tarStream)
	if !is {
		t.Fatalf("the archive is a %T", base)
	}
	// Whatever would cut something off finds no file that can be.
	stream.out, stream.file = onlyWriter{stream.file}, nil
	b := &batches{}
	large := strings.Repeat("l", maxBatch+1)
	attempt(t, base, b, "lost", "large", large)
	attempt(t, base, b, "", "small", "s")
	attempt(t, base, b, "", "large", large)
	outputtest.Must(t, b.flush())
	outputtest.Must(t, base.finish(b))
	if got := outputtest.Members(t, strings.NewReader(outputtest.Read(t, dir, "base.tar"+output.IncompleteSuffix))); len(got) != 2 || got["large"] != large {
		t.Errorf("%d members", len(got))
	}
	entries, err := os.ReadDir(dir)
	outputtest.Must(t, err)
	if len(entries) != 2 { // and the marker
		t.Errorf("there are %v", entries)
	}
}

// onlyWriter hides what else a file can do.
type onlyWriter struct{ out *os.File }

func (w onlyWriter) Write(p []byte) (int, error) { return w.out.Write(p) }
