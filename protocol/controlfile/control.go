// Package controlfile has global/pg_control, the file by which PostgreSQL finds out at its
// start what state its cluster is in (ControlFileData in PostgreSQL's catalog/pg_control.h),
// of the versions 13 to 19.
//
// The file is in the byte order of the machine that wrote it. [Decode] is for a server: it
// takes what PostgreSQL on this machine would take. [DecodeForeign] is for those who have
// but a copy. All values are as the file has them; nothing is read from a disk here.
package controlfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"slices"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// Size is that of global/pg_control in bytes (PG_CONTROL_FILE_SIZE).
const Size = 8192

// Control is what a backup needs to know of global/pg_control (PostgreSQL's
// ControlFileData, catalog/pg_control.h).
type Control struct {
	SystemID       uint64
	Version        uint32 // 1300 (PostgreSQL 13 to 16), 1700, 1800 or 1905
	CatalogVersion uint32 // 202209061 for PostgreSQL 15: a part of the tablespaces' directory names
	State          State
	Time           time.Time // of the last update, whole seconds, UTC

	Checkpoint     protocol.LSN // the last checkpoint record
	Redo           protocol.LSN // where recovery from that checkpoint begins
	Timeline       protocol.Timeline
	PrevTimeline   protocol.Timeline // differs from Timeline in the first checkpoint after a switch
	FullPageWrites bool

	// MinRecoveryPoint is how far recovery must go before the data is
	// consistent, on MinRecoveryTimeline. Both are zero on a primary.
	MinRecoveryPoint    protocol.LSN
	MinRecoveryTimeline protocol.Timeline

	// BackupStartPoint is not zero while a cluster that was restored from a
	// base backup has not come to that backup's end: it is not consistent yet.
	// BackupEndPoint is where that end is, if it is known; BackupEndRequired
	// says that a record in the WAL must tell it.
	BackupStartPoint  protocol.LSN
	BackupEndPoint    protocol.LSN
	BackupEndRequired bool

	WALLevel            int32  // 0 minimal, 1 replica, 2 logical
	BlockSize           uint32 // bytes
	RelSegSize          uint32 // blocks in a file of a relation
	WALBlockSize        uint32 // bytes
	WALSegmentSize      uint32 // bytes
	DataChecksumVersion uint32 // 0 without page checksums, 1 with them; see VerifiesPages
}

// ErrChecksum is wrapped in the error for a file whose checksum does not fit: damaged, or
// read while it was being written.
var ErrChecksum = errors.New("pg_control has an incorrect checksum")

// ErrVersion is wrapped in the error for a file of a version whose layout is not known. The
// version follows in the message.
var ErrVersion = errors.New("pg_control has version")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Decode decodes the content of global/pg_control, which is in the byte
// order of the machine that wrote it. An unknown version, a file of the other
// byte order, a file cut short, a checksum that does not fit and sizes that no
// cluster can have are errors.
func Decode(data []byte) (Control, error) {
	if len(data) < atState {
		return Control{}, fmt.Errorf("pg_control has only %d bytes", len(data))
	}
	version := binary.NativeEndian.Uint32(data[atVersion:])
	l, known := layoutOf(version)
	if !known {
		if _, swapped := layoutOf(bits.ReverseBytes32(version)); swapped {
			return Control{}, errors.New("pg_control was written by a machine of the other byte order")
		}
		return Control{}, fmt.Errorf("%w %d, known are 1300, 1700, 1800 and 1905 (PostgreSQL 13 to 19)", ErrVersion, version)
	}
	return l.decode(data, binary.NativeEndian)
}

// DecodeUntested is [Decode] for a version that may have come after those that are known: it
// is taken to have the newest layout whose checksum is where one is.
func DecodeUntested(data []byte) (Control, error) {
	c, err := Decode(data)
	if !errors.Is(err, ErrVersion) {
		return c, err
	}
	if c, err := decodeByChecksum(data, binary.NativeEndian); !errors.Is(err, ErrChecksum) {
		return c, err
	}
	return c, fmt.Errorf("%w, and none of their layouts", err)
}

// DecodeForeign decodes a file of either byte order, and of any version. Where nothing tells
// the layout of the version, it decodes only what lies at the same place in all of them, from
// SystemID to FullPageWrites; the other fields are zero then, and there is no checksum that
// could be wrong.
func DecodeForeign(data []byte) (Control, error) {
	if len(data) <= atFullPageWrites {
		return Control{}, fmt.Errorf("pg_control has only %d bytes", len(data))
	}
	// The version is a small number in the right order.
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint32(data[atVersion:])&0xFFFF == 0 {
		order = binary.BigEndian
	}
	if l, known := layoutOf(order.Uint32(data[atVersion:])); known {
		return l.decode(data, order)
	}
	c, err := decodeByChecksum(data, order)
	if errors.Is(err, ErrChecksum) {
		return decodeHead(data, order), nil
	}
	return c, err
}

// decodeByChecksum decodes a file by the newest layout in which its checksum is right.
func decodeByChecksum(data []byte, order binary.ByteOrder) (Control, error) {
	for _, l := range slices.Backward(layouts) {
		if len(data) < l.crc+4 {
			continue
		}
		if c, err := l.decode(data, order); !errors.Is(err, ErrChecksum) {
			return c, err
		}
	}
	return Control{}, ErrChecksum
}

func (l layout) decode(data []byte, order binary.ByteOrder) (Control, error) {
	if len(data) < l.crc+4 {
		return Control{}, fmt.Errorf("pg_control has only %d bytes", len(data))
	}
	if crc32.Checksum(data[:l.crc], castagnoli) != order.Uint32(data[l.crc:]) {
		return Control{}, ErrChecksum
	}
	c := l.decodeFields(data, order)
	return c, c.checkSizes()
}

// decodeHead decodes what lies at the same place in all versions.
func decodeHead(data []byte, order binary.ByteOrder) Control {
	return Control{
		SystemID:       order.Uint64(data[atSystemID:]),
		Version:        order.Uint32(data[atVersion:]),
		CatalogVersion: order.Uint32(data[atCatalogVersion:]),
		State:          State(order.Uint32(data[atState:])),
		Time:           time.Unix(int64(order.Uint64(data[atTime:])), 0).UTC(),
		Checkpoint:     protocol.LSN(order.Uint64(data[atCheckpoint:])),
		Redo:           protocol.LSN(order.Uint64(data[atRedo:])),
		Timeline:       protocol.Timeline(order.Uint32(data[atTimeline:])),
		PrevTimeline:   protocol.Timeline(order.Uint32(data[atPrevTimeline:])),
		FullPageWrites: data[atFullPageWrites] != 0,
	}
}

func (l layout) decodeFields(data []byte, order binary.ByteOrder) Control {
	u32 := func(at int) uint32 { return order.Uint32(data[at:]) }
	u64 := func(at int) uint64 { return order.Uint64(data[at:]) }
	c := decodeHead(data, order)
	c.MinRecoveryPoint = protocol.LSN(u64(l.minRecoveryPoint))
	c.MinRecoveryTimeline = protocol.Timeline(u32(l.minRecoveryPointTLI))
	c.BackupStartPoint = protocol.LSN(u64(l.backupStartPoint))
	c.BackupEndPoint = protocol.LSN(u64(l.backupEndPoint))
	c.BackupEndRequired = data[l.backupEndRequired] != 0
	c.WALLevel = int32(u32(l.walLevel))
	c.BlockSize = u32(l.blcksz)
	c.RelSegSize = u32(l.relsegSize)
	c.WALBlockSize = u32(l.xlogBlcksz)
	c.WALSegmentSize = u32(l.xlogSegSize)
	c.DataChecksumVersion = u32(l.dataChecksumVersion)
	return c
}

// IsKnown reports whether the layout of the file's version is known.
func (c Control) IsKnown() bool {
	_, known := layoutOf(c.Version)
	return known
}

// WrittenBy reports whether a server of that major version writes such a file.
func (c Control) WrittenBy(major int) bool {
	l, known := layoutOf(c.Version)
	return known && l.WrittenBy(major)
}

// ShutDownStandby reports whether the cluster is a standby that was shut down where
// its data was consistent. The state alone does not say it: a primary that was
// stopped while it recovered from a crash has it too, with no recovery point, and
// so has a standby that never came to the end of the backup it was made from. A
// label would make both look consistent.
func (c Control) ShutDownStandby() bool {
	return c.State == StateShutDownInRecovery && c.MinRecoveryPoint != 0 &&
		c.BackupStartPoint == 0 && !c.BackupEndRequired
}

// checkSizes refuses what configure and initdb cannot have chosen, so that
// nobody else has to fear a division by zero.
func (c Control) checkSizes() error {
	switch {
	case !powerOfTwo(c.BlockSize, 1<<10, 32<<10):
		return fmt.Errorf("pg_control has an invalid block size: %d bytes", c.BlockSize)
	case c.RelSegSize == 0:
		return errors.New("pg_control has an invalid segment size of relations: 0 blocks")
	case !powerOfTwo(c.WALBlockSize, 1<<10, 64<<10):
		return fmt.Errorf("pg_control has an invalid WAL block size: %d bytes", c.WALBlockSize)
	case !powerOfTwo(c.WALSegmentSize, 1<<20, 1<<30):
		return fmt.Errorf("pg_control has an invalid WAL segment size: %d bytes", c.WALSegmentSize)
	}
	return nil
}

func powerOfTwo(n, lowest, highest uint32) bool {
	return n >= lowest && n <= highest && n&(n-1) == 0
}

// Encode is the file that [Decode] reads: 8192 bytes that pg_controldata
// accepts. A version that is not known (zero, say) is written as 1300. What
// Control does not hold is zero, or what every build of PostgreSQL has there.
func (c Control) Encode() []byte {
	l, known := layoutOf(c.Version)
	if !known {
		l = layouts[0]
		c.Version = l.version
	}
	data := make([]byte, Size)
	u32 := func(at int, v uint32) { binary.NativeEndian.PutUint32(data[at:], v) }
	u64 := func(at int, v uint64) { binary.NativeEndian.PutUint64(data[at:], v) }
	flag := func(at int, v bool) {
		if v {
			data[at] = 1
		}
	}
	u64(atSystemID, c.SystemID)
	u32(atVersion, c.Version)
	u32(atCatalogVersion, c.CatalogVersion)
	u32(atState, uint32(c.State))
	u64(atTime, uint64(c.Time.Unix()))
	u64(atCheckpoint, uint64(c.Checkpoint))
	u64(atRedo, uint64(c.Redo))
	u32(atTimeline, uint32(c.Timeline))
	u32(atPrevTimeline, uint32(c.PrevTimeline))
	flag(atFullPageWrites, c.FullPageWrites)
	u64(l.minRecoveryPoint, uint64(c.MinRecoveryPoint))
	u32(l.minRecoveryPointTLI, uint32(c.MinRecoveryTimeline))
	u64(l.backupStartPoint, uint64(c.BackupStartPoint))
	u64(l.backupEndPoint, uint64(c.BackupEndPoint))
	flag(l.backupEndRequired, c.BackupEndRequired)
	u32(l.walLevel, uint32(c.WALLevel))
	u32(l.blcksz, c.BlockSize)
	u32(l.relsegSize, c.RelSegSize)
	u32(l.xlogBlcksz, c.WALBlockSize)
	u32(l.xlogSegSize, c.WALSegmentSize)
	u32(l.dataChecksumVersion, c.DataChecksumVersion)
	if l.checkpointWALLevel != 0 {
		u32(l.checkpointWALLevel, uint32(c.WALLevel))
	}
	l.encodeBuild(data, c.DataChecksumVersion)
	u32(l.crc, crc32.Checksum(data[:l.crc], castagnoli))
	return data
}
