package grammar

import "strings"

// The one command of which a backup has as many as the cluster has files, as a client writes
// it (see SendFile.String).
const (
	sendFileBefore  = "SEND_FILE ('"
	sendFileBehind  = "')"
	sendFileOptions = "') NOVERIFY_CHECKSUMS"
)

// parseSendFile is [Parse] for a SEND_FILE that is written in the very form in which
// clients write it, which takes a hundredth of the time. Of every other text it reports
// false and says nothing: white space elsewhere, a quote in the path, lower case, a
// mistake. The text is no longer than MaxCommandLength.
func parseSendFile(text string) (SendFile, bool) {
	rest, found := strings.CutPrefix(text, sendFileBefore)
	if !found {
		return SendFile{}, false
	}
	end := strings.IndexByte(rest, '\'')
	if end < 0 || strings.IndexByte(rest, 0) >= 0 {
		return SendFile{}, false
	}
	switch rest[end:] {
	case sendFileBehind:
		return SendFile{Path: rest[:end]}, true
	case sendFileOptions:
		return SendFile{Path: rest[:end], NoVerifyChecksums: true}, true
	}
	return SendFile{}, false
}
