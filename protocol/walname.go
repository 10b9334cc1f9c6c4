package protocol

import (
	"fmt"
	"strconv"
	"strings"
)

// WALFileName is the name in pg_wal of the segment that holds the byte at lsn
// on the timeline; segmentSize is in bytes (wal_segment_size, a power of two
// from 1 MB to 1 GB).
func WALFileName(tli Timeline, lsn LSN, segmentSize int64) string {
	segment := uint64(lsn) / uint64(segmentSize)
	perID := uint64(0x100000000) / uint64(segmentSize)
	return fmt.Sprintf("%08X%08X%08X", uint32(tli), uint32(segment/perID), uint32(segment%perID))
}

// ParseWALFileName is the reverse of [WALFileName]: the timeline and the
// position of the segment's first byte. It reports false for every name that is
// not one of a complete segment (a .history, .partial or .backup file, say), and
// for one whose number cannot be with this segment size.
func ParseWALFileName(name string, segmentSize int64) (Timeline, LSN, bool) {
	if !isWALFileName(name) {
		return 0, 0, false
	}
	var part [3]uint64
	for i := range part {
		part[i], _ = strconv.ParseUint(name[8*i:8*i+8], 16, 32)
	}
	perID := uint64(0x100000000) / uint64(segmentSize)
	if part[2] >= perID {
		return 0, 0, false
	}
	return Timeline(part[0]), LSN((part[1]*perID + part[2]) * uint64(segmentSize)), true
}

func isWALFileName(name string) bool { return len(name) == 24 && isUpperHex(name) }

func isUpperHex(s string) bool { return strings.Trim(s, "0123456789ABCDEF") == "" }

// HistoryFileName is the name in pg_wal of the timeline's history file. The
// first timeline has none.
func HistoryFileName(tli Timeline) string {
	return fmt.Sprintf("%08X.history", uint32(tli))
}

// IsHistoryFileName reports whether name is one of a timeline history file.
func IsHistoryFileName(name string) bool {
	tli, found := strings.CutSuffix(name, ".history")
	return found && len(tli) == 8 && isUpperHex(tli)
}
