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

// OpenOptions say how a cluster opens a file for SEND_FILE (§4.6).
type OpenOptions struct {
	// StartPtr is the backup's start. A page that is not whole is no failure if its
	// LSN lies between StartPtr and where the cluster's WAL now is: recovery
	// replaces it. Zero means that no LSN is an excuse.
	StartPtr LSN
	// VerifyChecksums asks for the verification of the pages of relation files,
	// where the cluster has checksums.
	VerifyChecksums bool
	// Notice receives the warnings about pages, while the file is read; never nil.
	Notice NoticeFunc
}
