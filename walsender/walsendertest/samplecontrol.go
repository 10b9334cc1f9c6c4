package walsendertest

import (
	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

// catalogVersions are the catalog versions of the releases, by major version.
var catalogVersions = map[int]uint32{
	13: 202007201, 14: 202107181, 15: 202209061, 16: 202307071, 17: 202406281, 18: 202506291, 19: 202610061,
}

// walMagics are the values of XLOG_PAGE_MAGIC, by major version.
var walMagics = map[int]uint16{
	13: 0xD106, 14: 0xD10D, 15: 0xD110, 16: 0xD113, 17: 0xD116, 18: 0xD118, 19: 0xD122,
}

func (s Sample) control() controlfile.Control {
	c := controlfile.Control{
		SystemID:       s.SystemID,
		Version:        1300,
		CatalogVersion: catalogVersions[s.Version],
		State:          s.State,
		Time:           sampleTime,
		Checkpoint:     s.checkpointLSN(),
		Redo:           s.checkpointLSN(),
		Timeline:       s.Timeline,
		PrevTimeline:   s.previousTimeline(),
		FullPageWrites: true,
		WALLevel:       1,
		BlockSize:      pageSize,
		RelSegSize:     uint32(s.SegmentPages),
		WALBlockSize:   walPage,
		WALSegmentSize: uint32(s.WALSegmentSize),
	}
	switch {
	case s.Version >= 19:
		c.Version = 1905
	case s.Version >= 17:
		c.Version = uint32(s.Version) * 100
	}
	if !s.NoChecksums {
		c.DataChecksumVersion = 1
	}
	if s.standby() {
		c.MinRecoveryPoint, c.MinRecoveryTimeline = s.endLSN(), s.Timeline
	}
	return c
}
