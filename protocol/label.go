package protocol

import (
	"fmt"
	"strconv"
	"strings"
)

// BackupLabelTime is the layout of [BackupLabel.StartTime] for package time.
const BackupLabelTime = "2006-01-02 15:04:05 MST"

// BackupLabel is the content of a backup_label file: where the recovery of a
// backup begins (PostgreSQL's access/xlogbackup.c, xlogrecovery.c). None of its
// texts may contain a line feed.
type BackupLabel struct {
	StartPtr      LSN      // the redo position of the checkpoint
	WALFile       string   // the name of the segment that holds it, see [WALFileName]
	Checkpoint    LSN      // the position of the checkpoint's record
	Method        string   // "streamed", or "pg_rewind"
	From          string   // "primary" or "standby"
	StartTime     string   // by [BackupLabelTime]; text, for no reader can tell what zone an abbreviation means
	Label         string   // the label that START_BACKUP was given
	StartTimeline Timeline // the timeline of StartPtr, and of WALFile
	Major         int      // the version of PostgreSQL in whose form positions are written: see [LSN.Text]; not read
}

// String is the file, line feeds and all.
func (l BackupLabel) String() string {
	return fmt.Sprintf("START WAL LOCATION: %s (file %s)\n", l.StartPtr.Text(l.Major), l.WALFile) +
		fmt.Sprintf("CHECKPOINT LOCATION: %s\n", l.Checkpoint.Text(l.Major)) +
		fmt.Sprintf("BACKUP METHOD: %s\n", l.Method) +
		fmt.Sprintf("BACKUP FROM: %s\n", l.From) +
		fmt.Sprintf("START TIME: %s\n", l.StartTime) +
		fmt.Sprintf("LABEL: %s\n", l.Label) +
		fmt.Sprintf("START TIMELINE: %d\n", l.StartTimeline)
}

// ParseBackupLabel reads a backup_label file as the server does at its start: the
// first two lines must be as they should, each of the others may be absent. The
// error, a *[Error] with [CodeObjectNotInPrerequisite], is the server's: for a
// file that is not like that, for a timeline that is not the one of the WAL file's
// name, and for an incremental backup, from which no server starts.
func ParseBackupLabel(s string) (BackupLabel, error) {
	var l BackupLabel
	r := labelReader{rest: s}
	start, file, _ := strings.Cut(r.required("START WAL LOCATION: "), " (file ")
	l.StartPtr = r.lsn(start)
	l.WALFile = r.walFile(file)
	l.Checkpoint = r.lsn(r.required("CHECKPOINT LOCATION: "))
	if r.invalid {
		return BackupLabel{}, errInvalidLabel()
	}
	l.Method, _ = r.optional("BACKUP METHOD: ")
	l.From, _ = r.optional("BACKUP FROM: ")
	l.StartTime, _ = r.optional("START TIME: ")
	l.Label, _ = r.optional("LABEL: ")

	tli, _ := strconv.ParseUint(l.WALFile[:8], 16, 32)
	l.StartTimeline = Timeline(tli)
	if text, found := r.optional("START TIMELINE: "); found {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return BackupLabel{}, errInvalidLabel()
		}
		if n != tli {
			e := errInvalidLabel()
			e.Detail = fmt.Sprintf("Timeline ID parsed is %d, but expected %d.", n, tli)
			return BackupLabel{}, e
		}
	}
	if _, found := r.optional("INCREMENTAL FROM LSN: "); found {
		return BackupLabel{}, Fatalf(CodeObjectNotInPrerequisite, "this is an incremental backup, not a data directory").
			WithHint("Use pg_combinebackup to reconstruct a valid data directory.")
	}
	return l, nil
}

func errInvalidLabel() *Error {
	return Fatalf(CodeObjectNotInPrerequisite, "invalid data in file %q", "backup_label")
}

// labelReader takes a backup_label line by line and remembers whether one was
// not as it had to be.
type labelReader struct {
	rest    string
	invalid bool
}

// optional is the rest of the next line, if that begins with prefix. Another line
// stays where it is.
func (r *labelReader) optional(prefix string) (string, bool) {
	line, rest, _ := strings.Cut(r.rest, "\n")
	value, found := strings.CutPrefix(line, prefix)
	if found {
		r.rest = rest
	}
	return value, found
}

// required is optional for a line that must be there, its line feed too.
func (r *labelReader) required(prefix string) string {
	ended := strings.Contains(r.rest, "\n")
	value, found := r.optional(prefix)
	if !found || !ended {
		r.invalid = true
		return ""
	}
	return value
}

func (r *labelReader) lsn(s string) LSN {
	lsn, err := ParseLSN(s)
	if err != nil {
		r.invalid = true
	}
	return lsn
}

func (r *labelReader) walFile(s string) string {
	name, closed := strings.CutSuffix(s, ")")
	if !closed || !isWALFileName(name) {
		r.invalid = true
	}
	return name
}
