package manifest

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// The standard library is the oracle.
func expectSame(t interface{ Fatalf(string, ...any) }, sum uint32, p []byte) {
	if got, want := UpdateCRC32C(sum, p), crc32.Update(sum, castagnoli, p); got != want {
		t.Fatalf("the sum of %d bytes behind %08X is %08X, expected %08X", len(p), sum, got, want)
	}
}

// TestUpdateCRC32C sums up contents of each length around that of a block or two.
func TestUpdateCRC32C(t *testing.T) {
	content := make([]byte, 3*8192)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(content) // never fails
	for _, around := range []int{0, 8176, 2 * 8176, 3 * 8176} {
		for size := max(around-40, 0); size < min(around+40, len(content)); size++ {
			expectSame(t, uint32(size)*2654435761, content[len(content)-size:])
		}
	}
}

func TestUpdateCRC32C_Rapid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := make([]byte, rapid.IntRange(0, 40000).Draw(t, "size"))
		var seed [32]byte
		seed[0], seed[1] = rapid.Byte().Draw(t, "seed"), rapid.Byte().Draw(t, "more of it")
		_, _ = rand.NewChaCha8(seed).Read(content) // never fails
		expectSame(t, rapid.Uint32().Draw(t, "sum"), content[min(rapid.IntRange(0, 64).Draw(t, "from"), len(content)):])
	})
}

// The sums of two parts are that of the whole.
func TestJoinCRC32C(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "content")
		at := rapid.IntRange(0, len(content)).Draw(t, "at")
		sum, second := ChecksumCRC32C.New().(Joiner), ChecksumCRC32C.New()
		sum.Write(content[:at])
		second.Write(content[at:])
		sum.Join(second.Sum(nil), int64(len(content)-at))
		want := crc32.Checksum(content, castagnoli)
		if got := binary.LittleEndian.Uint32(sum.Sum(nil)); got != want {
			t.Fatalf("%08X, want %08X", got, want)
		}
	})
}

// Content that repeats reaches what random content does not: lanes of zeros, of ones, all equal.
func FuzzUpdateCRC32C(f *testing.F) {
	f.Add([]byte{0}, uint32(0), uint16(8176))
	f.Add([]byte{0xFF}, uint32(0xFFFFFFFF), uint16(16353))
	f.Add([]byte("0123456789abcdef"), uint32(1), uint16(60000))
	f.Fuzz(func(t *testing.T, content []byte, sum uint32, size uint16) {
		p := make([]byte, size)
		for n := copy(p, content); n > 0 && n < len(p); n *= 2 {
			copy(p[n:], p[:n])
		}
		expectSame(t, sum, p)
	})
}

func TestUpdateCRC32C_NoAllocation(t *testing.T) {
	p := make([]byte, 128<<10)
	if n := testing.AllocsPerRun(10, func() { UpdateCRC32C(1, p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The content stays in the second-level cache, as what was received just now does.
func benchmark(b *testing.B, update func(uint32, []byte) uint32) {
	p := make([]byte, 128<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	sum := uint32(0)
	for b.Loop() {
		sum = update(sum, p)
	}
}

func BenchmarkUpdateCRC32C(b *testing.B) { benchmark(b, UpdateCRC32C) }

func BenchmarkCRC32C_Standard(b *testing.B) {
	benchmark(b, func(sum uint32, p []byte) uint32 { return crc32.Update(sum, castagnoli, p) })
}
