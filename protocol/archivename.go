package protocol

import (
	"regexp"
	"strconv"
)

// ArchiveName is what the name of an archive says that a backup in tar format has.
type ArchiveName struct {
	Tablespace  uint32 // the OID; 0: the archive is that of the data directory, or of WAL
	WAL         bool   // what is streamed into pg_wal, and no more
	Compression string // "gzip", "lz4" or "zstd"; empty for none
}

// archivePattern matches what pg_basebackup calls archives, as pg_verifybackup knows them.
var archivePattern = regexp.MustCompile(`^(base|pg_wal|[0-9]+)(?:\.tar|\.tar(\.gz|\.lz4|\.zst)|\.(tgz))$`)

// ParseArchiveName reads the name of a file in a backup's directory; ok is false for what is
// no archive of a backup.
func ParseArchiveName(name string) (a ArchiveName, ok bool) {
	part := archivePattern.FindStringSubmatch(name)
	if part == nil {
		return a, false
	}
	a.Compression = map[string]string{".gz": "gzip", "tgz": "gzip", ".lz4": "lz4", ".zst": "zstd"}[part[2]+part[3]]
	switch part[1] {
	case "base":
		return a, true
	case "pg_wal":
		a.WAL = true
		return a, true
	}
	oid, err := strconv.ParseUint(part[1], 10, 32)
	a.Tablespace = uint32(oid)
	return a, err == nil && oid > 0
}
