package protocol

import "time"

// The times that a file can have: those that every place where one is written down can
// hold. A manifest has four digits for the year, an archive no time before 1970.
const (
	minFileTime = 0
	maxFileTime = 253402300799 // 9999-12-31 23:59:59
)

// FileTime is the time of a file in rows, manifests and archives: in whole seconds, and
// one from 1970 to 9999 that is the nearest.
func FileTime(t time.Time) time.Time {
	return time.Unix(min(max(t.Unix(), minFileTime), maxFileTime), 0)
}
