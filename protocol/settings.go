package protocol

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Settings are the facts of a cluster that SHOW (§4.9) and the parameters at the
// start of a session tell.
type Settings struct {
	ServerVersion     string      // "15.18"; where the minor version is not known it is 0: "15.0"
	ServerVersionNum  int         // 150000
	WALSegmentSize    int64       // bytes
	BlockSize         int         // bytes
	DataChecksums     bool        // whether pages carry checksums
	DataDirectoryMode fs.FileMode // 0700 or 0750
	InHotStandby      bool        // whether the cluster is in recovery
	WALLevel          string      // wal_level: "minimal", "replica" or "logical"; empty: not known
}

// Show is the value of a parameter as PostgreSQL prints it, and whether these
// settings know the parameter. max_wal_senders is the server's own.
func (s Settings) Show(name string) (value string, known bool) {
	switch name {
	case "server_version":
		return s.ServerVersion, true
	case "server_version_num":
		return strconv.Itoa(s.ServerVersionNum), true
	case "wal_segment_size":
		return formatSize(s.WALSegmentSize), true
	case "block_size":
		return strconv.Itoa(s.BlockSize), true
	case "data_checksums":
		return onOff(s.DataChecksums), true
	case "data_directory_mode":
		return fmt.Sprintf("%04o", s.DataDirectoryMode.Perm()), true
	case "in_hot_standby":
		return onOff(s.InHotStandby), true
	case "wal_level":
		return s.WALLevel, s.WALLevel != ""
	}
	return "", false
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// formatSize prints a WAL segment size with the largest unit that leaves a whole
// number; pg_basebackup understands exactly MB and GB.
func formatSize(bytes int64) string {
	if bytes%(1<<30) == 0 {
		return strconv.FormatInt(bytes>>30, 10) + "GB"
	}
	return strconv.FormatInt(bytes>>20, 10) + "MB"
}

// ParseWALSegmentSize reads SHOW wal_segment_size: a whole number and the unit MB
// or GB. The result is in bytes, a power of two from 1 MB to 1 GB.
func ParseWALSegmentSize(s string) (int64, error) {
	digits, shift := s, 0
	if megabytes, found := strings.CutSuffix(s, "MB"); found {
		digits, shift = megabytes, 20
	} else if gigabytes, found := strings.CutSuffix(s, "GB"); found {
		digits, shift = gigabytes, 30
	}
	n, err := strconv.ParseUint(digits, 10, 11)
	size := int64(n) << shift
	if err != nil || size < 1<<20 || size > 1<<30 || size&(size-1) != 0 {
		return 0, fmt.Errorf("unexpected wal_segment_size %q", Shorten(s, 64))
	}
	return size, nil
}

// ParseDataDirectoryMode reads SHOW data_directory_mode: 0700 or 0750. Any other
// is an error.
func ParseDataDirectoryMode(s string) (fs.FileMode, error) {
	mode, err := strconv.ParseUint(s, 8, 32)
	if err != nil || (mode != 0o700 && mode != 0o750) {
		return 0, fmt.Errorf("unexpected data_directory_mode %q", Shorten(s, 64))
	}
	return fs.FileMode(mode), nil
}

// SettingColumns is the column of SHOW: it has the parameter's name.
func SettingColumns(name string) []Column { return []Column{{name, oidText}} }
