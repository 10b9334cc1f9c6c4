package datadir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// controlSize is the size of global/pg_control in bytes (PG_CONTROL_FILE_SIZE).
const controlSize = 8192

// Control is what a backup needs to know of global/pg_control (PostgreSQL's
// ControlFileData, catalog/pg_control.h).
type Control struct {
	SystemID       uint64
	Version        uint32 // 1300 (PostgreSQL 13 to 16), 1700, 1800 or 1905
	CatalogVersion uint32 // 202209061 for PostgreSQL 15: a part of the tablespaces' directory names
	State          DBState
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

// errControlChecksum is a pg_control whose checksum does not fit: damaged, or
// read while it was being written.
var errControlChecksum = errors.New("pg_control has an incorrect checksum")

// errControlVersion is a pg_control of a version whose layout is not known. The
// version follows in the message.
var errControlVersion = errors.New("pg_control has version")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// DecodeControl decodes the content of global/pg_control, which is in the byte
// order of the machine that wrote it. An unknown version, a file of the other
// byte order, a file cut short, a checksum that does not fit and sizes that no
// cluster can have are errors.
func DecodeControl(data []byte) (Control, error) {
	if len(data) < atState {
		return Control{}, fmt.Errorf("pg_control has only %d bytes", len(data))
	}
	version := binary.NativeEndian.Uint32(data[atVersion:])
	layout, known := controlLayoutOf(version)
	if !known {
		if _, swapped := controlLayoutOf(bits.ReverseBytes32(version)); swapped {
			return Control{}, errors.New("pg_control was written by a machine of the other byte order")
		}
		return Control{}, fmt.Errorf("%w %d, known are 1300, 1700, 1800 and 1905 (PostgreSQL 13 to 19)", errControlVersion, version)
	}
	return layout.decode(data)
}

func (l controlLayout) decode(data []byte) (Control, error) {
	if len(data) < l.crc+4 {
		return Control{}, fmt.Errorf("pg_control has only %d bytes", len(data))
	}
	if crc32.Checksum(data[:l.crc], castagnoli) != binary.NativeEndian.Uint32(data[l.crc:]) {
		return Control{}, errControlChecksum
	}
	c := l.decodeFields(data)
	return c, c.checkSizes()
}

func (l controlLayout) decodeFields(data []byte) Control {
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(data[at:]) }
	u64 := func(at int) uint64 { return binary.NativeEndian.Uint64(data[at:]) }
	return Control{
		SystemID:            u64(atSystemID),
		Version:             u32(atVersion),
		CatalogVersion:      u32(atCatalogVersion),
		State:               DBState(u32(atState)),
		Time:                time.Unix(int64(u64(atTime)), 0).UTC(),
		Checkpoint:          protocol.LSN(u64(atCheckpoint)),
		Redo:                protocol.LSN(u64(atRedo)),
		Timeline:            protocol.Timeline(u32(atTimeline)),
		PrevTimeline:        protocol.Timeline(u32(atPrevTimeline)),
		FullPageWrites:      data[atFullPageWrites] != 0,
		MinRecoveryPoint:    protocol.LSN(u64(l.minRecoveryPoint)),
		MinRecoveryTimeline: protocol.Timeline(u32(l.minRecoveryPointTLI)),
		BackupStartPoint:    protocol.LSN(u64(l.backupStartPoint)),
		BackupEndPoint:      protocol.LSN(u64(l.backupEndPoint)),
		BackupEndRequired:   data[l.backupEndRequired] != 0,
		WALLevel:            int32(u32(l.walLevel)),
		BlockSize:           u32(l.blcksz),
		RelSegSize:          u32(l.relsegSize),
		WALBlockSize:        u32(l.xlogBlcksz),
		WALSegmentSize:      u32(l.xlogSegSize),
		DataChecksumVersion: u32(l.dataChecksumVersion),
	}
}

// writtenBy reports whether a server of that major version writes such a file.
func (c Control) writtenBy(major int) bool {
	l, known := controlLayoutOf(c.Version)
	return known && l.writtenBy(major)
}

// shutDownStandby reports whether the cluster is a standby that was shut down where
// its data was consistent. The state alone does not say it: a primary that was
// stopped while it recovered from a crash has it too, with no recovery point, and
// so has a standby that never came to the end of the backup it was made from. A
// label would make both look consistent.
func (c Control) shutDownStandby() bool {
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

// Encode is the file that [DecodeControl] reads: 8192 bytes that pg_controldata
// accepts. A version that is not known (zero, say) is written as 1300. What
// Control does not hold is zero, or what every build of PostgreSQL has there.
func (c Control) Encode() []byte {
	l, known := controlLayoutOf(c.Version)
	if !known {
		l = controlLayouts[0]
		c.Version = l.version
	}
	data := make([]byte, controlSize)
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
