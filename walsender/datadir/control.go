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

// The values of [Control.Version].
const (
	controlVersion13 = 1300 // PostgreSQL 13 to 16
	controlVersion17 = 1700
	controlVersion18 = 1800
)

// Control is what a backup needs to know of global/pg_control (PostgreSQL's
// ControlFileData, catalog/pg_control.h).
type Control struct {
	SystemID       uint64
	Version        uint32 // 1300 (PostgreSQL 13 to 16), 1700 or 1800
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
	DataChecksumVersion uint32 // 0 without page checksums
}

// errControlChecksum is a pg_control whose checksum does not fit: damaged, or
// read while it was being written.
var errControlChecksum = errors.New("pg_control has an incorrect checksum")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The offsets in the file, the same in all versions.
const (
	atSystemID            = 0
	atVersion             = 8
	atCatalogVersion      = 12
	atState               = 16
	atTime                = 24
	atCheckpoint          = 32
	atRedo                = 40
	atTimeline            = 48
	atPrevTimeline        = 52
	atFullPageWrites      = 56
	atCheckpointWALLevel  = 60 // from 17 on
	atMinRecoveryPoint    = 136
	atMinRecoveryTimeline = 144
	atBackupStartPoint    = 152
	atBackupEndPoint      = 160
	atBackupEndRequired   = 168
	atWALLevel            = 172
	atMaxAlign            = 204
	atFloatFormat         = 208
	atBlockSize           = 216
	atRelSegSize          = 220
	atWALBlockSize        = 224
	atWALSegmentSize      = 228
	atNameDataLen         = 232
	atFloat8ByVal         = 248
	atDataChecksumVersion = 252
	atCharSignedness      = 256 // from 18 on
)

// checksumOffset is where the CRC lies, which covers everything before it.
func checksumOffset(version uint32) (int, bool) {
	switch version {
	case controlVersion13, controlVersion17:
		return 288, true
	case controlVersion18:
		return 292, true
	}
	return 0, false
}

// DecodeControl decodes the content of global/pg_control, which is in the byte
// order of the machine that wrote it. An unknown version, a file of the other
// byte order, a file cut short, a checksum that does not fit and sizes that no
// cluster can have are errors.
func DecodeControl(data []byte) (Control, error) {
	if len(data) < atState {
		return Control{}, fmt.Errorf("pg_control has only %d bytes", len(data))
	}
	version := binary.NativeEndian.Uint32(data[atVersion:])
	end, known := checksumOffset(version)
	if !known {
		if _, swapped := checksumOffset(bits.ReverseBytes32(version)); swapped {
			return Control{}, errors.New("pg_control was written by a machine of the other byte order")
		}
		return Control{}, fmt.Errorf("pg_control has version %d, known are 1300, 1700 and 1800 (PostgreSQL 13 to 18)", version)
	}
	if len(data) < end+4 {
		return Control{}, fmt.Errorf("pg_control has only %d bytes", len(data))
	}
	if crc32.Checksum(data[:end], castagnoli) != binary.NativeEndian.Uint32(data[end:]) {
		return Control{}, errControlChecksum
	}
	c := decodeFields(data)
	return c, c.checkSizes()
}

func decodeFields(data []byte) Control {
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
		MinRecoveryPoint:    protocol.LSN(u64(atMinRecoveryPoint)),
		MinRecoveryTimeline: protocol.Timeline(u32(atMinRecoveryTimeline)),
		BackupStartPoint:    protocol.LSN(u64(atBackupStartPoint)),
		BackupEndPoint:      protocol.LSN(u64(atBackupEndPoint)),
		BackupEndRequired:   data[atBackupEndRequired] != 0,
		WALLevel:            int32(u32(atWALLevel)),
		BlockSize:           u32(atBlockSize),
		RelSegSize:          u32(atRelSegSize),
		WALBlockSize:        u32(atWALBlockSize),
		WALSegmentSize:      u32(atWALSegmentSize),
		DataChecksumVersion: u32(atDataChecksumVersion),
	}
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
	end, known := checksumOffset(c.Version)
	if !known {
		c.Version = controlVersion13
		end, _ = checksumOffset(c.Version)
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
	u64(atMinRecoveryPoint, uint64(c.MinRecoveryPoint))
	u32(atMinRecoveryTimeline, uint32(c.MinRecoveryTimeline))
	u64(atBackupStartPoint, uint64(c.BackupStartPoint))
	u64(atBackupEndPoint, uint64(c.BackupEndPoint))
	flag(atBackupEndRequired, c.BackupEndRequired)
	u32(atWALLevel, uint32(c.WALLevel))
	u32(atBlockSize, c.BlockSize)
	u32(atRelSegSize, c.RelSegSize)
	u32(atWALBlockSize, c.WALBlockSize)
	u32(atWALSegmentSize, c.WALSegmentSize)
	u32(atDataChecksumVersion, c.DataChecksumVersion)
	c.encodeBuild(u32, u64, flag)
	u32(end, crc32.Checksum(data[:end], castagnoli))
	return data
}

// encodeBuild writes what depends on how PostgreSQL was built, as it is built
// everywhere.
func (c Control) encodeBuild(u32 func(int, uint32), u64 func(int, uint64), flag func(int, bool)) {
	const (
		floatFormat    = 0x4132D68700000000 // 1234567.0
		maxAlign       = 8
		nameDataLen    = 64
		indexMaxKeys   = 32
		toastChunkSize = 1996
		largeObject    = 2048
	)
	u32(atMaxAlign, maxAlign)
	u64(atFloatFormat, floatFormat)
	u32(atNameDataLen, nameDataLen)
	u32(atNameDataLen+4, indexMaxKeys)
	u32(atNameDataLen+8, toastChunkSize)
	u32(atNameDataLen+12, largeObject)
	flag(atFloat8ByVal, true)
	if c.Version >= controlVersion17 {
		u32(atCheckpointWALLevel, uint32(c.WALLevel))
	}
	if c.Version >= controlVersion18 {
		flag(atCharSignedness, true)
	}
}
