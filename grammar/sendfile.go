package grammar

import (
	"strconv"
	"strings"
)

// The one command of which a backup has as many as the cluster has files, and a refresh more,
// as a client writes it (see SendFile.String).
const (
	sendFileBefore   = "SEND_FILE ('"
	sendFileBehind   = "')"
	sendFileNoVerify = " NOVERIFY_CHECKSUMS"
	sendFileOffset   = " OFFSET "
	sendFileLength   = " LENGTH "
)

// parseSendFile is [Parse] for a SEND_FILE that is written in the very form in which
// clients write it, which takes a hundredth of the time. Of every other text it reports
// false and says nothing: white space elsewhere, a quote in the path, lower case, another
// order of options, a mistake. The text is no longer than MaxCommandLength.
func parseSendFile(text string) (SendFile, bool) {
	rest, found := strings.CutPrefix(text, sendFileBefore)
	if !found {
		return SendFile{}, false
	}
	end := strings.IndexByte(rest, '\'')
	if end < 0 || strings.IndexByte(rest, 0) >= 0 {
		return SendFile{}, false
	}
	c := SendFile{Path: rest[:end]}
	if rest, found = strings.CutPrefix(rest[end:], sendFileBehind); !found {
		return SendFile{}, false
	}
	rest, c.NoVerifyChecksums = strings.CutPrefix(rest, sendFileNoVerify)
	offset, length := false, false
	c.Offset, rest, offset = cutBytes(rest, sendFileOffset, 0)
	c.Length, rest, length = cutBytes(rest, sendFileLength, 1)
	return c, offset && length && rest == ""
}

// cutBytes cuts an option with a number of bytes off the beginning of a text, if the text
// begins with it. It reports false where the number is not one, or less than lowest.
func cutBytes(text, keyword string, lowest int64) (n int64, rest string, ok bool) {
	rest, found := strings.CutPrefix(text, keyword)
	if !found {
		return 0, text, true
	}
	end := 0
	for end < len(rest) && '0' <= rest[end] && rest[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(rest[:end], 10, 64)
	return n, rest[end:], err == nil && n >= lowest
}
