package main

import (
	"strings"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

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

// authMethod is the value of --auth.
type authMethod string

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (m *authMethod) UnmarshalText(text []byte) error {
	if string(text) != "trust" {
		return usagef(`invalid authentication method %q, must be "trust"`, text)
	}
	*m = authMethod(text)
	return nil
}
