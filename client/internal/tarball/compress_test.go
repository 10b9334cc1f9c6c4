package tarball

import (
	"archive/tar"
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

// The options of zstd change no content, also where a member is given up in its middle, and
// what they make can be unpacked without options.
func TestCompression_ZstdOptions(t *testing.T) {
	half := make([]byte, maxBatch+1)
	rand.NewChaCha8([32]byte{2}).Read(half)
	for _, c := range []Compression{
		{Method: CompressionZstd, Workers: 1}, {Method: CompressionZstd, Level: 1, Workers: 9},
		{Method: CompressionZstd, LongDistance: true}, {Method: CompressionZstd, Level: 9, Workers: 2, LongDistance: true},
	} {
		outputtest.Must(t, c.Check())
		file, err := os.Create(filepath.Join(t.TempDir(), "archive"))
		outputtest.Must(t, err)
		a, b := newTarStream(file, c), &batches{}
		a.file = file
		given, err := newTarEntry(a, b, tarHeader{name: "given up", kind: tarRegular, size: int64(2 * len(half))})
		outputtest.Must(t, err)
		_, err = given.Add(half)
		outputtest.Must(t, err)
		outputtest.Must(t, given.Discard())
		for _, name := range []string{"once", "again"} {
			attempt(t, a, b, "", name, string(half)+string(half))
		}
		outputtest.Must(t, b.flush())
		outputtest.Must(t, a.finish(b))
		packed, err := os.Open(file.Name())
		outputtest.Must(t, err)
		defer packed.Close()
		r, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(longDistance))
		outputtest.Must(t, err)
		members := tar.NewReader(r)
		for _, name := range []string{"once", "again"} {
			h, err := members.Next()
			outputtest.Must(t, err)
			content, err := io.ReadAll(members)
			outputtest.Must(t, err)
			if h.Name != name || string(content) != string(half)+string(half) {
				t.Errorf("%+v: %s has %d bytes", c, h.Name, len(content))
			}
		}
		if _, err := members.Next(); err != io.EOF {
			t.Errorf("%+v: the end is %v", c, err)
		}
	}
}

// A byte that changed in an archive where it is kept is found by whoever unpacks it, in
// small members as in large ones: a checksum of the content is there whatever the method.
func TestCompression_ContentChecksum(t *testing.T) {
	noise := make([]byte, maxBatch+1) // hardly compressed, so that most of the archive is content
	rand.NewChaCha8([32]byte{1}).Read(noise)
	for method, open := range map[CompressionMethod]func(io.Reader) (io.Reader, error){
		CompressionGzip: func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		CompressionLZ4:  func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil },
		CompressionZstd: func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r, zstd.WithDecoderConcurrency(1)) },
	} {
		unpack := func(archive []byte) error {
			r, err := open(bytes.NewReader(archive))
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, r)
			return err
		}
		for _, size := range []int{10_000, len(noise)} {
			var out bytes.Buffer
			a, b := newTarStream(&out, Compression{Method: method}), &batches{}
			attempt(t, a, b, "", "f", string(noise[:size]))
			outputtest.Must(t, b.flush())
			outputtest.Must(t, a.finish(b))
			outputtest.Must(t, unpack(out.Bytes()))
			out.Bytes()[out.Len()/2] ^= 1
			if unpack(out.Bytes()) == nil {
				t.Errorf("%v, %d bytes: the change is not found", method, size)
			}
		}
	}
}
