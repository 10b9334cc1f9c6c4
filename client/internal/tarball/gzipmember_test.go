package tarball

import (
	"bytes"
	"hash/crc32"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

// The sum of parts is the sum of the whole, however it is divided.
func TestGzipSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sum gzipSum
		var whole []byte
		for _, part := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 0, 10).Draw(t, "parts") {
			sum.add(gzipSum{crc32.ChecksumIEEE(part), int64(len(part))})
			whole = append(whole, part...)
		}
		if want := (gzipSum{crc32.ChecksumIEEE(whole), int64(len(whole))}); sum != want {
			t.Errorf("sum is %+v, want %+v", sum, want)
		}
	})
}

// A sum of more than 4 GiB is that of so many bytes, modulo 2^32.
func TestGzipSum_Large(t *testing.T) {
	zeros := gzipSum{crc32.ChecksumIEEE(make([]byte, 1<<20)), 1 << 20}
	for range 12 { // 2^32 bytes
		zeros.add(zeros)
	}
	got := gzipSum{crc32.ChecksumIEEE([]byte("begin")), 5}
	got.add(zeros)
	want := crc32.ChecksumIEEE([]byte("begin"))
	block := make([]byte, 1<<24)
	for range 1 << 32 >> 24 {
		want = crc32.Update(want, crc32.IEEETable, block)
	}
	if got.crc != want || got.size != 5+1<<32 {
		t.Errorf("%08x of %d bytes, want %08x", got.crc, got.size, want)
	}
	if size := got.trailer()[6:]; !bytes.Equal(size, []byte{5, 0, 0, 0}) {
		t.Errorf("size in the trailer is %v", size)
	}
}

// An archive is one member, though its parts are compressed each alone, and one of them
// is taken back.
func TestGzip_OneMember(t *testing.T) {
	var out bytes.Buffer
	a := newTarStream(&out, Compression{Method: CompressionGzip, Level: 9})
	for _, name := range []string{"a", "b", "c"} {
		b := &batches{}
		attempt(t, a, b, "lost", "gone", "g")
		attempt(t, a, b, "", name, name)
		outputtest.Must(t, b.flush())
	}
	outputtest.Must(t, a.finish(&batches{}))
	z, err := gzip.NewReader(&out)
	outputtest.Must(t, err)
	z.Multistream(false)
	content, err := io.ReadAll(z) // checks the sum
	outputtest.Must(t, err)
	if out.Len() > 0 {
		t.Errorf("%d bytes lie behind the first member", out.Len())
	}
	if got := outputtest.Members(t, bytes.NewReader(content)); len(got) != 3 {
		t.Errorf("members: %v", got)
	}
}
