package tarball

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

// kindsOfArchive makes an archive of each kind, with a reader of what it holds when it
// is finished.
func kindsOfArchive(t *testing.T) map[string]func() (archive, func() io.Reader) {
	onDisk := func() *os.File {
		f, err := os.Create(filepath.Join(t.TempDir(), "archive"))
		outputtest.Must(t, err)
		return f
	}
	open := func(f *os.File) io.Reader { return strings.NewReader(outputtest.Read(t, f.Name())) }
	gunzip := func(r io.Reader) io.Reader {
		z, err := gzip.NewReader(r)
		outputtest.Must(t, err)
		z.Multistream(false) // there is one member, and all is in it
		return z
	}
	gzipped := Compression{Method: CompressionGzip, Level: 1}
	return map[string]func() (archive, func() io.Reader){
		"file": func() (archive, func() io.Reader) {
			f := onDisk()
			return newTarFile(f), func() io.Reader { return open(f) }
		},
		"compressed file": func() (archive, func() io.Reader) {
			f := onDisk()
			a := newTarStream(f, gzipped)
			a.file, a.spill = f, func() (*os.File, error) { return os.CreateTemp(t.TempDir(), "spill") }
			return a, func() io.Reader { return gunzip(open(f)) }
		},
		"stream": func() (archive, func() io.Reader) {
			var out bytes.Buffer
			return newTarStream(&out, Compression{}), func() io.Reader { return &out }
		},
		"compressed stream": func() (archive, func() io.Reader) {
			var out bytes.Buffer
			return newTarStream(&out, gzipped), func() io.Reader { return gunzip(&out) }
		},
	}
}

// Members of all sizes, written by several goroutines, some of them only at the second
// attempt and some never, are in the archive each once and whole.
func TestArchive_Parallel(t *testing.T) {
	const writers = 3
	sizes := []int64{0, 1, tarBlock - 1, tarBlock, tarBlock + 1, 100_000, maxBatch - 2*tarBlock, maxBatch + 1}
	for kind, open := range kindsOfArchive(t) {
		t.Run(kind, func(t *testing.T) {
			a, content := open()
			_, onDisk := a.(*tarFile)
			if s, ok := a.(*tarStream); ok {
				onDisk = s.file != nil
			}
			want := map[string]string{}
			var wg sync.WaitGroup
			for w := range writers {
				for i, size := range sizes {
					want[fmt.Sprintf("%d/%d", w, i)] = strings.Repeat(string(rune('a'+w)), int(size))
				}
			}
			for w := range writers {
				wg.Go(func() {
					b := &batches{}
					for i, size := range sizes {
						name := fmt.Sprintf("%d/%d", w, i)
						if size < maxBatch || onDisk {
							attempt(t, a, b, "lost", name, want[name])
							attempt(t, a, b, "vanished", "vanished/"+name, want[name]+"!")
						}
						attempt(t, a, b, "", name, want[name])
					}
					if err := b.flush(); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			outputtest.Must(t, a.finish(&batches{}))
			got := outputtest.Members(t, content())
			for name, content := range want {
				if got[name] != content {
					t.Errorf("%s has %d bytes of other content, want %d", name, len(got[name]), len(content))
				}
				delete(got, name)
			}
			for name := range got {
				t.Errorf("%s should not be there", name)
			}
		})
	}
}

// attempt writes a member, or begins one that is discarded.
func attempt(t *testing.T, a archive, b *batches, fault, name, content string) {
	e, err := newTarEntry(a, b, tarHeader{name: name, kind: tarRegular, size: int64(len(content)), mode: 0o600})
	if err != nil {
		t.Error(err)
		return
	}
	if fault != "" {
		e.Add(bytes.Repeat([]byte("?"), len(content)/2))
		if err := e.Discard(); err != nil {
			t.Error(err)
		}
		return
	}
	for part := []byte(content); len(part) > 0; part = part[min(len(part), 50_000):] {
		if _, err := e.Add(part[:min(len(part), 50_000)]); err != nil {
			t.Error(err)
		}
	}
	if err := e.Finish(io.Discard); err != nil {
		t.Error(err)
	}
}

// A large member that has gone out in part cannot be taken back, and the turn is the
// next one's all the same.
func TestArchive_StreamTakesNothingBack(t *testing.T) {
	a := newTarStream(io.Discard, Compression{})
	b := &batches{}
	e, err := newTarEntry(a, b, tarHeader{name: "large", kind: tarRegular, size: maxBatch + 1})
	outputtest.Must(t, err)
	if err := e.Discard(); err == nil {
		t.Error("no error")
	}
	outputtest.Must(t, a.finish(b))
}

// What is longer than listed is cut, what is shorter is filled up with zeros, and the
// checksum is of what is in the archive.
func TestArchive_Sizes(t *testing.T) {
	for content, want := range map[string]string{"longer than that": "longer t", "short": "short\x00\x00\x00", "": strings.Repeat("\x00", 8)} {
		var out, sum bytes.Buffer
		a := newTarStream(&out, Compression{})
		b := &batches{}
		e, err := newTarEntry(a, b, tarHeader{name: "f", kind: tarRegular, size: 8})
		outputtest.Must(t, err)
		kept, err := e.Add([]byte(content))
		outputtest.Must(t, err)
		sum.Write(kept)
		outputtest.Must(t, e.Finish(&sum))
		outputtest.Must(t, b.flush())
		outputtest.Must(t, a.finish(b))
		if diff := cmp.Diff(map[string]string{"f": want}, outputtest.Members(t, &out)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", content, diff)
		}
		if sum.String() != want {
			t.Errorf("%q: the checksum is of %q", content, sum.String())
		}
	}
}

// The end of an archive is two blocks of zeros, whatever was taken back before it.
func TestArchive_Trailer(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "archive"))
	outputtest.Must(t, err)
	a := newTarFile(f)
	attempt(t, a, nil, "lost", "gone", strings.Repeat("g", 10_000))
	attempt(t, a, nil, "", "kept", "k")
	attempt(t, a, nil, "lost", "gone", strings.Repeat("g", 20_000))
	outputtest.Must(t, a.finish(nil))
	content := outputtest.Read(t, f.Name())
	if len(content) != 2*tarBlock+tarTrailer || strings.Trim(content[2*tarBlock:], "\x00") != "" {
		t.Errorf("%d bytes, ending in %q", len(content), content[2*tarBlock:])
	}
	if diff := cmp.Diff(map[string]string{"kept": "k"}, outputtest.Members(t, strings.NewReader(content))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What a large member has left in a compressed file is cut off when it is taken back.
func TestArchive_TakenBack(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "archive"))
	outputtest.Must(t, err)
	a := newTarStream(f, Compression{})
	a.file = f
	b := &batches{}
	attempt(t, a, b, "vanished", "large", strings.Repeat("l", maxBatch+1))
	outputtest.Must(t, a.finish(b))
	if got := outputtest.Read(t, f.Name()); got != strings.Repeat("\x00", tarTrailer) {
		t.Errorf("%d bytes are in the archive, want the end only", len(got))
	}
}
