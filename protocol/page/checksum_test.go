package page

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// literalChecksum is the algorithm as postgres describes it, word by word:
// pg_checksum_block and pg_checksum_page of storage/checksum_impl.h.
func literalChecksum(page []byte, block uint32) uint16 {
	page = slices.Clone(page)
	page[8], page[9] = 0, 0
	var data [64][32]uint32
	if err := binary.Read(bytes.NewReader(page), binary.LittleEndian, &data); err != nil {
		panic(err)
	}
	sums := sumOffsets
	comp := func(checksum *uint32, value uint32) {
		tmp := *checksum ^ value
		*checksum = tmp*16777619 ^ (tmp >> 17)
	}
	for i := range data {
		for j := range sums {
			comp(&sums[j], data[i][j])
		}
	}
	for range 2 {
		for j := range sums {
			comp(&sums[j], 0)
		}
	}
	var result uint32
	for _, sum := range sums {
		result ^= sum
	}
	return uint16((result^block)%65535 + 1)
}

// expectSame holds every implementation against the literal one, on a page that
// the processor must not have to find aligned.
func expectSame(t *testing.T, page []byte, block uint32) {
	t.Helper()
	unaligned := append(make([]byte, 1, 1+Size), page...)[1:]
	want := literalChecksum(page, block)
	if got := Checksum(unaligned, block); got != want {
		t.Errorf("Checksum of block %d is %04X, expected %04X", block, got, want)
	}
	if got := finishChecksum(foldPortable((*[Size]byte)(unaligned)), block); got != want {
		t.Errorf("in portable Go the checksum of block %d is %04X, expected %04X", block, got, want)
	}
	if !bytes.Equal(unaligned, page) {
		t.Error("the page was changed")
	}
}

func TestChecksum_Implementations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		page := make([]byte, Size)
		for i := range page {
			page[i] = byte(random.Uint32())
		}
		expectSame(t, page, random.Uint32())
	}
	for _, fill := range []byte{0, 1, 0x80, 0xFF} {
		page := bytes.Repeat([]byte{fill}, Size)
		for _, block := range []uint32{0, 1, 65535, 131072, math.MaxUint32} {
			expectSame(t, page, block)
		}
	}
}

// Each bit of the page counts but those of the stored checksum.
func TestChecksum_EveryBit(t *testing.T) {
	page := make([]byte, Size)
	for i := range page {
		page[i] = byte(i * 7)
	}
	array := (*[Size]byte)(page)
	fold := foldPage(array)
	for bit := range 8 * Size {
		page[bit/8] ^= 1 << (bit % 8)
		stored := bit/8 == pdChecksum || bit/8 == pdChecksum+1
		if same := foldPage(array) == fold; same != stored {
			t.Errorf("bit %d of byte %d: same %v, expected %v", bit%8, bit/8, same, stored)
		}
		if bit%17 == 0 && foldPage(array) != foldPortable(array) {
			t.Errorf("bit %d of byte %d: portable Go differs", bit%8, bit/8)
		}
		page[bit/8] ^= 1 << (bit % 8)
	}
}

func FuzzChecksum(f *testing.F) {
	f.Add([]byte("a page"), uint32(0), uint16(0))
	f.Add([]byte{0xFF, 0, 0xFF}, uint32(131073), uint16(8190))
	f.Fuzz(func(t *testing.T, content []byte, block uint32, at uint16) {
		page := make([]byte, Size)
		for n := copy(page[at%Size:], content); n > 0 && n < Size; n *= 2 {
			copy(page[n:], page[:n])
		}
		expectSame(t, page, block)
	})
}

// relationPage is a page with a right checksum.
func relationPage(block uint32, lsn uint64) []byte {
	page := bytes.Repeat([]byte{byte(block + 1)}, Size)
	binary.LittleEndian.PutUint32(page[pdLSN:], uint32(lsn>>32))
	binary.LittleEndian.PutUint32(page[pdLSN+4:], uint32(lsn))
	binary.LittleEndian.PutUint16(page[pdUpper:], 100)
	binary.LittleEndian.PutUint16(page[pdChecksum:], Checksum(page, block))
	return page
}

func TestVerify_4_6(t *testing.T) {
	whole := relationPage(7, 0x1_0000_2000)
	sum := binary.LittleEndian.Uint16(whole[pdChecksum:])
	for _, c := range []struct {
		name   string
		block  uint32
		change func(page []byte)
		ok     bool
	}{
		{"whole", 7, func([]byte) {}, true},
		{"new", 7, func(page []byte) { clear(page) }, true},
		{"of another block", 8, func([]byte) {}, false},
		{"a bit", 7, func(page []byte) { page[5000] ^= 1 }, false},
		{"first sector zeroed", 7, func(page []byte) { clear(page[:512]) }, false},
		{"all but the last byte zeroed", 7, func(page []byte) { clear(page[:Size-1]) }, false},
		{"pd_upper zeroed", 7, func(page []byte) { clear(page[pdUpper : pdUpper+2]) }, false},
		{"pd_upper zeroed, checksum made to fit", 7, func(page []byte) {
			clear(page[pdUpper : pdUpper+2])
			binary.LittleEndian.PutUint16(page[pdChecksum:], Checksum(page, 7))
		}, false},
		{"LSN of ones", 7, func(page []byte) { copy(page, bytes.Repeat([]byte{0xFF}, 8)) }, false},
		{"all ones", 7, func(page []byte) { copy(page, bytes.Repeat([]byte{0xFF}, Size)) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			page := slices.Clone(whole)
			c.change(page)
			ok, _, _ := Verify(page, c.block)
			if ok != c.ok {
				t.Errorf("Verify gave %v, expected %v", ok, c.ok)
			}
		})
	}
	if _, calculated, stored := Verify(whole, 8); calculated != Checksum(whole, 8) || stored != sum {
		t.Errorf("Verify gave %04X and %04X, expected %04X and %04X", calculated, stored, Checksum(whole, 8), sum)
	}
}

func TestVerify_NoAllocation(t *testing.T) {
	page := bytes.Repeat([]byte{1}, Size)
	unused := make([]byte, Size)
	if n := testing.AllocsPerRun(100, func() { Verify(page, 1); Verify(unused, 1) }); n != 0 {
		t.Errorf("%v allocations for two pages", n)
	}
}

// The pages stay in the second-level cache, as the ones just read from a file do.
func benchmarkFold(b *testing.B, fold func(*[Size]byte) uint32) {
	pages := make([][Size]byte, 16)
	b.SetBytes(Size)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		fold(&pages[i%len(pages)])
	}
}

func BenchmarkChecksum(b *testing.B)         { benchmarkFold(b, foldPage) }
func BenchmarkChecksumPortable(b *testing.B) { benchmarkFold(b, foldPortable) }
