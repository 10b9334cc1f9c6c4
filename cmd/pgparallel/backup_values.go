package main

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// outputFormat is the value of -F.
type outputFormat struct{ tar bool }

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (f *outputFormat) UnmarshalText(text []byte) error {
	switch string(text) {
	case "p", "plain":
		f.tar = false
	case "t", "tar":
		f.tar = true
	default:
		return usagef(`invalid output format %q, must be "plain" or "tar"`, text)
	}
	return nil
}

// syncMethod is the value of --sync-method.
type syncMethod struct{ client.SyncMethod }

// UnmarshalText is called by the parser.
func (m *syncMethod) UnmarshalText(text []byte) error {
	switch string(text) {
	case "fsync":
		m.SyncMethod = client.SyncFsync
	case "syncfs":
		m.SyncMethod = client.SyncSyncfs
	default:
		return usagef("unrecognized sync method: %s", text)
	}
	return nil
}

// backupTarget is the value of -t: "client", which is the only one.
type backupTarget struct{}

// UnmarshalText refuses the other targets of pg_basebackup.
func (*backupTarget) UnmarshalText(text []byte) error {
	switch name, _, _ := strings.Cut(string(text), ":"); name {
	case "client":
		return nil
	case "blackhole", "server":
		return usagef("not supported: --target=%s: the backup is written by the client, which checks what arrives", name)
	}
	return usagef("unrecognized target: %q", text)
}

// transferRate is the value of -r: kB per second, 0 for no limit.
type transferRate int

// UnmarshalText reads a number with or without a fraction and the suffix k (kB,
// which it means without one) or M (MB), as pg_basebackup's parse_max_rate does.
func (r *transferRate) UnmarshalText(text []byte) error {
	value := strings.TrimSpace(string(text))
	digits := strings.TrimRightFunc(value, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
	unit := strings.TrimSpace(value[len(digits):])
	rate, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return usagef("transfer rate %q is not a valid value", text)
	}
	if rate <= 0 {
		return usagef("transfer rate must be greater than zero")
	}
	switch unit {
	case "", "k":
	case "M":
		rate *= 1024
	default:
		return usagef("invalid --max-rate unit: %q", unit)
	}
	// The comparison is of the fraction, too: what is below 32 is below it.
	if rate < client.MaxRateLower || rate > client.MaxRateUpper {
		return usagef("transfer rate %q is out of range (%dk to %dM)", text, client.MaxRateLower, client.MaxRateUpper>>10)
	}
	*r = transferRate(rate)
	return nil
}

// tablespaceMapping is a value of -T.
type tablespaceMapping struct{ old, new string }

// UnmarshalText reads OLDDIR=NEWDIR, where an equals sign that belongs to a name is
// written \=, as pg_basebackup's tablespace_list_append does.
func (m *tablespaceMapping) UnmarshalText(text []byte) error {
	var parts []string
	var part strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '=':
			part.WriteByte('=')
			i++
		case text[i] == '=':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(text[i])
		}
	}
	parts = append(parts, part.String())
	if len(parts) > 2 {
		return usagef(`multiple "=" signs in tablespace mapping`)
	}
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return usagef("invalid tablespace mapping format %q, must be \"OLDDIR=NEWDIR\"", text)
	}
	m.old, m.new = parts[0], parts[1]
	return nil
}

// checkpointMode is the value of -c.
type checkpointMode struct{ fast bool }

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (m *checkpointMode) UnmarshalText(text []byte) error {
	switch strings.ToLower(string(text)) {
	case "fast":
		m.fast = true
	case "spread":
		m.fast = false
	default:
		return usagef(`invalid checkpoint argument %q, must be "fast" or "spread"`, text)
	}
	return nil
}

// walMethod is the value of -X.
type walMethod struct{ client.WALMethod }

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (m *walMethod) UnmarshalText(text []byte) error {
	switch string(text) {
	case "n", "none":
		m.WALMethod = client.WALNone
	case "f", "fetch":
		m.WALMethod = client.WALFetch
	case "s", "stream":
		m.WALMethod = client.WALStream
	default:
		return usagef(`invalid wal-method option %q, must be "fetch", "stream", or "none"`, text)
	}
	return nil
}

// checksumAlgorithm is the value of --manifest-checksums.
type checksumAlgorithm struct{ manifest.ChecksumAlgorithm }

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (a *checksumAlgorithm) UnmarshalText(text []byte) error {
	if err := a.ChecksumAlgorithm.UnmarshalText(text); err != nil {
		return &usageError{err.Error()}
	}
	return nil
}

// workerCount is the value of --min-jobs.
type workerCount int

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (n *workerCount) UnmarshalText(text []byte) error {
	value, err := parseInteger(text, "--min-jobs", 1, math.MaxInt32)
	*n = workerCount(value)
	return err
}

// silenceLength is the value of --timeout, in seconds.
type silenceLength int

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (n *silenceLength) UnmarshalText(text []byte) error {
	value, err := parseInteger(text, "--timeout", 0, math.MaxInt32/1000)
	*n = silenceLength(value)
	return err
}

func (n silenceLength) duration() time.Duration { return time.Duration(n) * time.Second }

// statusInterval is the value of -s, in seconds; 0 means that the server is told when
// it asks.
type statusInterval int

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (n *statusInterval) UnmarshalText(text []byte) error {
	value, err := parseInteger(text, "-s/--status-interval", 0, math.MaxInt32/1000)
	*n = statusInterval(value)
	return err
}

// duration is the interval as client has it, where 0 is the default.
func (n statusInterval) duration() time.Duration {
	if n == 0 {
		return -1
	}
	return time.Duration(n) * time.Second
}
