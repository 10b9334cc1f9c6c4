package protocol

import (
	"slices"
	"strings"
)

// ParameterExtensions is the parameter by which a server announces, at the beginning of a
// session, what the session may use beyond version 1 (§8.1).
const ParameterExtensions = "parallel_backup_extensions"

// Extension is the name of something that goes beyond version 1 of the protocol.
type Extension string

// ExtensionDigests is LIST_FILES CHECKSUM and the ranges of SEND_FILE (§8.3).
const ExtensionDigests Extension = "digests"

// ExtensionDescriptors is SEND_FILE … DESCRIPTOR (§8.4).
const ExtensionDescriptors Extension = "descriptors"

// JoinExtensions is the value of [ParameterExtensions] that announces the extensions, each
// once. Empty: there are none.
func JoinExtensions(extensions ...Extension) string {
	names := make([]string, len(extensions))
	for i, e := range extensions {
		names[i] = string(e)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}

// Announced reports whether value, one of [ParameterExtensions], announces the extension. A
// value that is empty, as where the parameter is absent, announces none.
func (e Extension) Announced(value string) bool {
	return slices.Contains(strings.Split(value, ","), string(e)) && e != ""
}

// ParameterMaxRate is the parameter by which the session that leads a backup is told of
// another rate: kB of 1024 bytes per second, 0 for no limit (§8.2).
const ParameterMaxRate = "parallel_backup_max_rate"
