package client

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// filled is a file that is written in any order.
type filled struct {
	*os.File
	size   int64
	refuse int64 // the offset at which AddAt fails; 0: none
}

func (*filled) Add([]byte) ([]byte, error) { return nil, errors.New("it is to be written by parts") }
func (f *filled) Finish(io.Writer) error   { return f.Truncate(f.size) }
func (*filled) Discard() error             { return nil }
func (f *filled) Fill(size int64)          { f.size = size }

var errRefused = errors.New("no space")

func (f *filled) AddAt(data []byte, offset int64) error {
	if f.refuse > 0 && offset >= f.refuse {
		return errRefused
	}
	_, err := f.WriteAt(data, offset)
	return err
}

// cloned is a file that shares the blocks of another, or so it says.
type cloned struct{ *filled }

func (c cloned) Clone(from *os.File, _ int64) (*os.File, error) { return from, nil }

// newDescribed is a file of some parts and a rest, that is to be copied while three workers wait.
func newDescribed(t *testing.T, out output.Entry) (in *incoming, source *os.File, content []byte) {
	t.Helper()
	content = make([]byte, 3*partSize+8192+17)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content) // never fails
	name := filepath.Join(t.TempDir(), "source")
	must(t, os.WriteFile(name, content, 0o600))
	source, err := os.Open(name)
	must(t, err)
	lender := newQueue(nil)
	lender.idle = 3
	memory := &pieces{}
	t.Cleanup(func() {
		must(t, source.Close())
		if lender.lent != 0 {
			t.Errorf("%d places were not given back", lender.lent)
		}
		memory.release()
	})
	r := &receiver{sum: manifest.ChecksumCRC32C.New(), progress: &progress{}, pieces: memory, lender: lender}
	return &incoming{receiver: r, listed: &output.File{Path: "base/1/20000"}, name: "base/1/20000", out: out}, source, content
}

func newFilled(t *testing.T) *filled {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "copy"))
	must(t, err)
	t.Cleanup(func() { must(t, file.Close()) })
	return &filled{File: file}
}

func expectCopied(t *testing.T, in *incoming, want []byte) {
	t.Helper()
	if n := in.progress.bytes.Load(); in.size != int64(len(want)) || n != in.size {
		t.Errorf("%d bytes were copied and %d counted, want %d", in.size, n, len(want))
	}
	sum := manifest.ChecksumCRC32C.New()
	sum.Write(want)
	if !bytes.Equal(in.sum.Sum(nil), sum.Sum(nil)) {
		t.Errorf("the checksum is %x, want %x (not %08x)", in.sum.Sum(nil), sum.Sum(nil), crc32.ChecksumIEEE(want))
	}
}

// A file that several goroutines have copied is as any: the content, the size, the checksum.
func TestDivided_8_4(t *testing.T) {
	out := newFilled(t)
	in, source, content := newDescribed(t, out)
	must(t, in.copyFrom(source, int64(len(content))))
	must(t, out.Finish(nil))
	expectCopied(t, in, content)
	copied, err := os.ReadFile(out.Name())
	must(t, err)
	if !bytes.Equal(copied, content) {
		t.Error("the copy differs")
	}
}

// Of a clone nothing is written, and all is summed up.
func TestDivided_8_4_Clone(t *testing.T) {
	out := cloned{newFilled(t)}
	in, source, content := newDescribed(t, out)
	must(t, in.copyFrom(source, int64(len(content))))
	expectCopied(t, in, content)
	if in.by != byClone {
		t.Errorf("the bytes came by %d", in.by)
	}
}

// A file that has become shorter ends where its first short part did, and what others may have
// found behind is cut off.
func TestDivided_8_4_Shrunk(t *testing.T) {
	out := newFilled(t)
	in, source, content := newDescribed(t, out)
	c := &described{incoming: in, file: source, content: source, size: int64(len(content))}
	if !c.divide() {
		t.Fatal("the file is not divided")
	}
	first, second, third := c.takeOn(), c.takeOn(), c.takeOn()
	piece := in.pieces.take()
	must(t, c.copyPart(third, piece)) // before the file is cut off in the second part
	must(t, os.Truncate(source.Name(), partSize+8192))
	must(t, c.copyPart(second, piece))
	must(t, c.copyPart(first, piece))
	in.pieces.put(piece)
	must(t, c.copyTogether()) // of the last part there is nothing
	must(t, out.Finish(nil))
	expectCopied(t, in, content[:partSize+8192])
	if info, err := out.Stat(); err != nil || info.Size() != partSize+8192 {
		t.Errorf("the copy has %d bytes (%v)", info.Size(), err)
	}
}

// What is wrong with one part is wrong with the file, and all that was counted is taken back at
// its end.
func TestDivided_8_4_Failed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		refuse int64
		pages  bool
		check  func(error) bool
	}{
		{"write", 2*partSize + 1, false, func(err error) bool { return errors.Is(err, errRefused) }},
		{"page", 0, true, func(err error) bool { var gaveUp *givenUp; return errors.As(err, &gaveUp) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := newFilled(t)
			out.refuse = tt.refuse
			in, source, content := newDescribed(t, out)
			in.pages = tt.pages
			err := in.copyFrom(source, int64(len(content)))
			if !tt.check(err) {
				t.Errorf("error %v", err)
			}
			if _ = in.end(err); in.progress.bytes.Load() != 0 {
				t.Errorf("%d bytes are counted", in.progress.bytes.Load())
			}
		})
	}
}

// Nobody helps where the checksum needs the bytes in their order, where the output does, or where
// there is one part.
func TestDivided_8_4_Undivided(t *testing.T) {
	in, source, content := newDescribed(t, newFilled(t))
	sha, _, _ := newDescribed(t, newFilled(t))
	sha.sum = manifest.ChecksumSHA256.New()
	archive, _, _ := newDescribed(t, struct{ output.Entry }{newFilled(t)})
	for _, c := range []*described{
		{incoming: in, size: partSize}, {incoming: sha, size: int64(len(content))}, {incoming: archive, size: int64(len(content))},
	} {
		c.file, c.content = source, source
		if c.divide() {
			t.Errorf("the file of %d bytes is divided", c.size)
		}
	}
}
