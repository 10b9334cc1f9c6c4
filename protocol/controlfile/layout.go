package controlfile

import "encoding/binary"

// layout is where the fields of pg_control lie in the versions of PostgreSQL
// that share one: offsets in bytes, by the names in catalog/pg_control.h. The fields
// before pg_control_version, and that one, lie where they are in every version.
type layout struct {
	version        uint32 // pg_control_version
	oldest, newest int    // the major versions of PostgreSQL

	minRecoveryPoint, minRecoveryPointTLI               int
	backupStartPoint, backupEndPoint, backupEndRequired int
	walLevel                                            int
	maxAlign, floatFormat                               int
	blcksz, relsegSize, slruPagesPerSegment             int
	xlogBlcksz, xlogSegSize                             int
	nameDataLen, float8ByVal                            int // three more are between them
	dataChecksumVersionInit, dataChecksumVersion        int
	defaultCharSignedness                               int
	crc                                                 int // covers everything before it

	checkpointWALLevel int
}

// The offsets that are the same in all versions.
const (
	atSystemID       = 0
	atVersion        = 8
	atCatalogVersion = 12
	atState          = 16
	atTime           = 24
	atCheckpoint     = 32
	atRedo           = 40 // here begins a copy of the checkpoint record
	atTimeline       = 48
	atPrevTimeline   = 52
	atFullPageWrites = 56
)

// layouts are the layouts that are known, the oldest first. A field that a
// version does not have is at 0.
var layouts = func() []layout {
	from13 := layout{
		version: 1300, oldest: 13, newest: 16,

		minRecoveryPoint: 136, minRecoveryPointTLI: 144,
		backupStartPoint: 152, backupEndPoint: 160, backupEndRequired: 168,
		walLevel: 172,
		maxAlign: 204, floatFormat: 208,
		blcksz: 216, relsegSize: 220,
		xlogBlcksz: 224, xlogSegSize: 228,
		nameDataLen: 232, float8ByVal: 248,
		dataChecksumVersion: 252,
		crc:                 288,
	}

	from17 := from13
	from17.version, from17.oldest, from17.newest = 1700, 17, 17
	from17.checkpointWALLevel = 60

	from18 := from17
	from18.version, from18.oldest, from18.newest = 1800, 18, 18
	from18.defaultCharSignedness = 256
	from18.crc = 292

	from19 := layout{
		version: 1905, oldest: 19, newest: 19,

		checkpointWALLevel: 60,
		minRecoveryPoint:   144, minRecoveryPointTLI: 152,
		backupStartPoint: 160, backupEndPoint: 168, backupEndRequired: 176,
		walLevel: 180,
		maxAlign: 212, floatFormat: 216,
		blcksz: 224, relsegSize: 228, slruPagesPerSegment: 232,
		xlogBlcksz: 236, xlogSegSize: 240,
		nameDataLen: 244, float8ByVal: 260,
		dataChecksumVersionInit: 264, dataChecksumVersion: 268, // what initdb chose, and what holds
		defaultCharSignedness: 272,
		crc:                   308,
	}
	return []layout{from13, from17, from18, from19}
}()

// layoutOf is the layout with a pg_control_version, if it is known.
func layoutOf(version uint32) (layout, bool) {
	for _, l := range layouts {
		if l.version == version {
			return l, true
		}
	}
	return layout{}, false
}

// WrittenBy reports whether a major version of PostgreSQL has this layout.
func (l layout) WrittenBy(major int) bool { return l.oldest <= major && major <= l.newest }

// encodeBuild writes what depends on how PostgreSQL was built, as it is built
// everywhere, and what initdb decides.
func (l layout) encodeBuild(data []byte, checksumVersion uint32) {
	const (
		floatFormat    = 0x4132D68700000000 // 1234567.0
		maxAlign       = 8
		nameDataLen    = 64
		indexMaxKeys   = 32
		toastChunkSize = 1996
		largeObject    = 2048
		slruPages      = 32
	)
	put := func(at int, v uint32) {
		if at != 0 {
			binary.NativeEndian.PutUint32(data[at:], v)
		}
	}
	put(l.maxAlign, maxAlign)
	binary.NativeEndian.PutUint64(data[l.floatFormat:], floatFormat)
	put(l.slruPagesPerSegment, slruPages)
	put(l.nameDataLen, nameDataLen)
	put(l.nameDataLen+4, indexMaxKeys)
	put(l.nameDataLen+8, toastChunkSize)
	put(l.nameDataLen+12, largeObject)
	data[l.float8ByVal] = 1
	put(l.dataChecksumVersionInit, checksumVersion)
	if l.defaultCharSignedness != 0 {
		data[l.defaultCharSignedness] = 1
	}
}
