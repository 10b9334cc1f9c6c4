package protocol

import (
	"path"
	"strings"
)

// CheckPath holds a path of the protocol to the rules of §4.6: relative to the
// data directory, not empty, no "..", ".", "//", no slash at its end, no NUL.
// The error is a *[Error] with [CodeInvalidParameterValue]. Both ends call it on
// whatever the other sent before they touch a file.
func CheckPath(name string) error {
	valid := name != "" && name != "." && name != ".." && name[0] != '/' && !strings.HasPrefix(name, "../") &&
		path.Clean(name) == name && strings.IndexByte(name, 0) < 0
	if !valid {
		return Errorf(CodeInvalidParameterValue, "invalid file path %q", Shorten(name, 256))
	}
	return nil
}
