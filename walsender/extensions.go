package walsender

import "github.com/pgparallel/pgparallel/protocol"

// extensions is the value of the parameter that announces what the session may use beyond
// version 1 (§8.1). It holds for the whole session.
func (s *session) extensions() string {
	var offered []protocol.Extension
	for _, extension := range []struct {
		name protocol.Extension
		may  func() bool // tells whether this session may use it
	}{
		{protocol.ExtensionDescriptors, s.mayHaveDescriptors},
		{protocol.ExtensionDigests, func() bool { return true }},
		{protocol.ExtensionProgress, func() bool { return true }},
	} {
		if extension.may() {
			offered = append(offered, extension.name)
		}
	}
	return protocol.JoinExtensions(offered...)
}
