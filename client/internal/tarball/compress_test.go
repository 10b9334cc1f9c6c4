package tarball

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

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
