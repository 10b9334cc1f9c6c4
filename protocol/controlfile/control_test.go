package controlfile

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/bits"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
)

func drawControl(t *rapid.T) Control {
	u32 := rapid.Uint32()
	u64 := rapid.Uint64()
	power := func(label string, lowest, highest int) uint32 {
		return 1 << rapid.IntRange(lowest, highest).Draw(t, label)
	}
	return Control{
		SystemID:            u64.Draw(t, "system"),
		Version:             rapid.SampledFrom([]uint32{1300, 1700, 1800, 1905}).Draw(t, "version"),
		CatalogVersion:      u32.Draw(t, "catalog"),
		State:               State(rapid.Int32().Draw(t, "state")),
		Time:                time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "time"), 0).UTC(),
		Checkpoint:          protocol.LSN(u64.Draw(t, "checkpoint")),
		Redo:                protocol.LSN(u64.Draw(t, "redo")),
		Timeline:            protocol.Timeline(u32.Draw(t, "timeline")),
		PrevTimeline:        protocol.Timeline(u32.Draw(t, "previous")),
		FullPageWrites:      rapid.Bool().Draw(t, "full page writes"),
		MinRecoveryPoint:    protocol.LSN(u64.Draw(t, "minimum")),
		MinRecoveryTimeline: protocol.Timeline(u32.Draw(t, "minimum timeline")),
		WALLevel:            rapid.Int32().Draw(t, "level"),
		BlockSize:           power("block", 10, 15),
		RelSegSize:          rapid.Uint32Min(1).Draw(t, "segment"),
		WALBlockSize:        power("WAL block", 10, 16),
		WALSegmentSize:      power("WAL segment", 20, 30),
		DataChecksumVersion: u32.Draw(t, "checksums"),
	}
}

func TestControl_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawControl(t)
		data := want.Encode()
		if len(data) != 8192 {
			t.Fatalf("Encode gave %d bytes", len(data))
		}
		got, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("round trip (-want +got):\n%s", diff)
		}
	})
}

// A file is decoded whatever machine and version wrote it; of a version that nothing is known
// of, what all versions have.
func TestDecodeForeign(t *testing.T) {
	want := validControl()
	want.Time, want.Checkpoint, want.Redo = time.Unix(1800000000, 0).UTC(), 0x2000060, 0x2000028
	data := want.Encode()
	got, err := DecodeForeign(data)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	data[100] ^= 1
	if _, err := DecodeForeign(data); !errors.Is(err, ErrChecksum) {
		t.Errorf("with a bit changed: %v", err)
	}
	if _, err := DecodeForeign(data[:atFullPageWrites]); err == nil {
		t.Error("no error for the half of a file")
	}

	binary.NativeEndian.PutUint32(data[atVersion:], 2100)
	got, err = DecodeForeign(data)
	if err != nil || got.SystemID != want.SystemID || got.Version != 2100 || got.Checkpoint != want.Checkpoint || got.WALSegmentSize != 0 {
		t.Errorf("of an unknown layout: %+v, %v", got, err)
	}

	swapped := make([]byte, Size)
	binary.BigEndian.PutUint64(swapped[atSystemID:], 7)
	binary.BigEndian.PutUint32(swapped[atVersion:], 1300)
	binary.BigEndian.PutUint64(swapped[atCheckpoint:], 0x2000060)
	l := layouts[0]
	for at, v := range map[int]uint32{l.blcksz: 8192, l.relsegSize: 1, l.xlogBlcksz: 8192, l.xlogSegSize: 1 << 20} {
		binary.BigEndian.PutUint32(swapped[at:], v)
	}
	binary.BigEndian.PutUint32(swapped[l.crc:], crc32.Checksum(swapped[:l.crc], castagnoli))
	got, err = DecodeForeign(swapped)
	if err != nil || got.SystemID != 7 || got.Checkpoint != 0x2000060 || got.WALSegmentSize != 1<<20 {
		t.Errorf("of the other byte order: %+v, %v", got, err)
	}
}

func validControl() Control {
	return Control{
		SystemID: 7300000000000000001, Version: 1300, CatalogVersion: 202209061, State: StateShutDown, Timeline: 1, PrevTimeline: 1,
		BlockSize: 8192, RelSegSize: 131072, WALBlockSize: 8192, WALSegmentSize: 1 << 20, DataChecksumVersion: 1,
	}
}

func TestDecode_Errors(t *testing.T) {
	from13 := layouts[0]
	resum := func(data []byte) {
		l, _ := layoutOf(binary.NativeEndian.Uint32(data[atVersion:]))
		binary.NativeEndian.PutUint32(data[l.crc:], crc32.Checksum(data[:l.crc], castagnoli))
	}
	put := func(at int, v uint32) func([]byte) []byte {
		return func(data []byte) []byte {
			binary.NativeEndian.PutUint32(data[at:], v)
			resum(data)
			return data
		}
	}
	for _, test := range []struct {
		name   string
		change func([]byte) []byte
		want   string
	}{
		{"empty", func([]byte) []byte { return nil }, "only 0 bytes"},
		{"cut", func(d []byte) []byte { return d[:291] }, "only 291 bytes"},
		{"one bit", func(d []byte) []byte { d[100] ^= 1; return d }, "incorrect checksum"},
		{"the checksum", func(d []byte) []byte { d[288] ^= 1; return d }, "incorrect checksum"},
		{"version", func(d []byte) []byte { binary.NativeEndian.PutUint32(d[8:], 1201); return d }, "version 1201"},
		{"byte order", func(d []byte) []byte {
			binary.NativeEndian.PutUint32(d[8:], bits.ReverseBytes32(1300))
			return d
		}, "other byte order"},
		{"block size", put(from13.blcksz, 8191), "invalid block size: 8191"},
		{"relation segment", put(from13.relsegSize, 0), "0 blocks"},
		{"WAL block size", put(from13.xlogBlcksz, 512), "invalid WAL block size"},
		{"WAL segment size", put(from13.xlogSegSize, 0), "invalid WAL segment size"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Decode(test.change(validControl().Encode()))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// What follows the checksum is padding, and never looked at.
func TestDecode_Padding(t *testing.T) {
	data := validControl().Encode()
	data[292] = 1
	if _, err := Decode(data[:293]); err != nil {
		t.Error(err)
	}
}

func TestState_String(t *testing.T) {
	if got := StateInProduction.String(); got != "in production" {
		t.Errorf("StateInProduction is %q", got)
	}
	for _, s := range []State{-1, 7} {
		if got := s.String(); !strings.HasPrefix(got, "unrecognized status code") {
			t.Errorf("state %d is %q", int32(s), got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, version := range []uint32{1300, 1700, 1800, 1905} {
		c := validControl()
		c.Version = version
		f.Add(c.Encode()[:320])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = DecodeForeign(data)
		c, err := Decode(data)
		if errors.Is(err, ErrChecksum) { // get past it
			l, _ := layoutOf(binary.NativeEndian.Uint32(data[atVersion:]))
			binary.NativeEndian.PutUint32(data[l.crc:], crc32.Checksum(data[:l.crc], castagnoli))
			c, err = Decode(data)
		}
		if err != nil {
			return
		}
		again, err := Decode(c.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Errorf("second decoding differs:\n%s", diff)
		}
	})
}
