package protocol_test

import (
	"fmt"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"pgregory.net/rapid"
)

// segmentSizes are all that initdb --wal-segsize offers.
func segmentSizes() []int64 {
	var sizes []int64
	for size := int64(1 << 20); size <= 1<<30; size *= 2 {
		sizes = append(sizes, size)
	}
	return sizes
}

func TestWALFileName(t *testing.T) {
	for _, test := range []struct {
		tli  protocol.Timeline
		lsn  protocol.LSN
		size int64
		want string
	}{
		{1, 0x5000028, 16 << 20, "000000010000000000000005"},
		{1, 0x5FFFFFF, 16 << 20, "000000010000000000000005"},
		{2, 0xFF000000, 16 << 20, "0000000200000000000000FF"},
		{2, 0x100000000, 16 << 20, "000000020000000100000000"},
		{1, 0xFFF00000, 1 << 20, "000000010000000000000FFF"},
		{1, 0x1000FFFFF, 1 << 20, "000000010000000100000000"},
		{1, 0xC0000000, 1 << 30, "000000010000000000000003"},
		{1, 0x240000000, 1 << 30, "000000010000000200000001"},
		{1<<32 - 1, 1<<64 - 1, 1 << 20, "FFFFFFFFFFFFFFFF00000FFF"},
		{1<<32 - 1, 1<<64 - 1, 1 << 30, "FFFFFFFFFFFFFFFF00000003"},
	} {
		if got := protocol.WALFileName(test.tli, test.lsn, test.size); got != test.want {
			t.Errorf("WALFileName(%d, %v, %d) = %s, want %s", test.tli, test.lsn, test.size, got, test.want)
		}
	}
}

func TestWALFileNameRoundTrip(t *testing.T) {
	for _, size := range segmentSizes() {
		t.Run(fmt.Sprintf("%dMB", size>>20), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				tli := protocol.Timeline(rapid.Uint32().Draw(t, "tli"))
				lsn := protocol.LSN(rapid.Uint64().Draw(t, "lsn"))
				name := protocol.WALFileName(tli, lsn, size)
				gotTLI, gotLSN, ok := protocol.ParseWALFileName(name, size)
				if !ok || gotTLI != tli || gotLSN != lsn&^protocol.LSN(size-1) {
					t.Fatalf("ParseWALFileName(%s) = %d, %v, %v", name, gotTLI, gotLSN, ok)
				}
			})
		})
	}
}

func TestParseWALFileNameRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		size int64
	}{
		{"", 16 << 20},
		{"00000001000000000000000", 16 << 20},
		{"0000000100000000000000001", 16 << 20},
		{"00000001000000000000000a", 16 << 20},
		{"00000001000000000000000G", 16 << 20},
		{"+00000010000000000000001", 16 << 20},
		{"000000010000000000000001.partial", 16 << 20},
		{"000000010000000000000001.00000028.backup", 16 << 20},
		{"00000002.history", 16 << 20},
		{"000000010000000000000100", 16 << 20},
		{"000000010000000000001000", 1 << 20},
		{"000000010000000000000004", 1 << 30},
	} {
		if _, _, ok := protocol.ParseWALFileName(test.name, test.size); ok {
			t.Errorf("ParseWALFileName(%q, %d) accepts it", test.name, test.size)
		}
	}
}

func FuzzParseWALFileName(f *testing.F) {
	f.Add("000000010000000000000005", uint8(4))
	f.Fuzz(func(t *testing.T, name string, exponent uint8) {
		size := int64(1) << (20 + exponent%11)
		tli, lsn, ok := protocol.ParseWALFileName(name, size)
		if ok && protocol.WALFileName(tli, lsn, size) != name {
			t.Errorf("%q is timeline %d and %v, and that is %q", name, tli, lsn, protocol.WALFileName(tli, lsn, size))
		}
	})
}

func TestHistoryFileName(t *testing.T) {
	if got := protocol.HistoryFileName(0xAB); got != "000000AB.history" {
		t.Errorf("HistoryFileName(0xAB) = %q", got)
	}
	for name, want := range map[string]bool{
		"000000AB.history":      true,
		"FFFFFFFF.history":      true,
		"000000ab.history":      false,
		"00000AB.history":       false,
		"000000AB.history.done": false,
		".history":              false,
		"":                      false,
	} {
		if got := protocol.IsHistoryFileName(name); got != want {
			t.Errorf("IsHistoryFileName(%q) = %v", name, got)
		}
	}
}
