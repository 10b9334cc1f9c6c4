package protocol_test

import (
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
)

func TestExtensions_8_1(t *testing.T) {
	for _, tt := range []struct {
		extensions []protocol.Extension
		value      string
	}{
		{nil, ""},
		{[]protocol.Extension{"progress"}, "progress"},
		{[]protocol.Extension{"progress", "descriptors", "progress", "digests"}, "descriptors,digests,progress"},
	} {
		value := protocol.JoinExtensions(tt.extensions...)
		if value != tt.value {
			t.Errorf("%q are announced as %q, want %q", tt.extensions, value, tt.value)
		}
		for _, e := range tt.extensions {
			if !e.Announced(value) {
				t.Errorf("%q does not announce %q", value, e)
			}
		}
		for _, e := range []protocol.Extension{"", "script", "descriptor", "descriptors,digests", "Progress"} {
			if e.Announced(value) {
				t.Errorf("%q announces %q", value, e)
			}
		}
	}
}
