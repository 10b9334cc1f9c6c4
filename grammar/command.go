package grammar

import (
	"fmt"

	"github.com/pgparallel/pgparallel/protocol"
)

// DefaultLabel is the label of a backup that was started without one (§4.1).
const DefaultLabel = "start backup"

// Command is one of the commands of this package; there are no others. They
// are plain values that can be compared with ==.
//
// String is the command as a client sends it: keywords in upper case, no trailing
// semicolon, options that say no more than their default left out. [Parse] gives
// back an equal value, provided that the fields hold what their comments allow
// and that the text is not longer than [MaxCommandLength].
type Command interface {
	fmt.Stringer
	command()
}

// StartBackup is START_BACKUP (§4.1). Its session becomes the leader of a backup.
type StartBackup struct {
	// Label names the backup in backup_label: at most 1024 bytes of UTF-8 without
	// control characters. Parse puts DefaultLabel where the command has no LABEL;
	// the empty string stands for LABEL '', which is legal.
	Label string
	// Fast asks for an immediate checkpoint instead of a spread one.
	Fast bool
	// MaxRate bounds what all sessions of the backup send together, in kB (1024
	// bytes) per second, 32 to 1048576; 0 where the command has no MAX_RATE.
	MaxRate int
}

// JoinBackup is JOIN_BACKUP (§4.2). Its session becomes one of a running backup's.
type JoinBackup struct {
	// ID is the backup's id as the client sent it: any UTF-8 text, possibly empty.
	// It is a secret.
	ID string
}

// StopBackup is STOP_BACKUP (§4.3), sent by the leader.
type StopBackup struct {
	// NoWait says not to wait for the archiving of the backup's WAL.
	NoWait bool
}

// ListTablespaces is LIST_TABLESPACES (§4.4).
type ListTablespaces struct {
	// Progress asks for the sizes of the tablespaces.
	Progress bool
}

// ListFiles is LIST_FILES (§4.5).
type ListFiles struct {
	// Tablespace is a location or an OID as the client sent it; empty for the data
	// directory.
	Tablespace string
	// Checksum is the name of an algorithm as the client sent it, for a column with the
	// digests of the files (§8.3): any non-empty UTF-8 text; empty where no digest is
	// asked for.
	Checksum string
	// NoVerifyChecksums says not to verify the page checksums of files that are read for
	// their digests.
	NoVerifyChecksums bool
}

// ListWALFiles is LIST_WAL_FILES (§4.7). Whether Start is before End is not
// checked.
type ListWALFiles struct {
	Start, End Location
}

// Location is the value of an option that may be absent: START_WAL_LOCATION or
// END_WAL_LOCATION. The zero value is an absent one.
type Location struct {
	LSN   protocol.LSN // 0 where it is not given
	Given bool         // 0/0 can be given, too
}

// At is a location that is given.
func At(lsn protocol.LSN) Location { return Location{LSN: lsn, Given: true} }

// SendFile is SEND_FILE (§4.6).
type SendFile struct {
	// Path is the file's path as the client sent it. File names are bytes: it need
	// not be UTF-8, and nothing but the absence of NUL has been checked.
	Path string
	// NoVerifyChecksums says not to verify the page checksums of the file.
	NoVerifyChecksums bool
	// Descriptor says that the client takes a descriptor of the file as well (§8.4).
	Descriptor bool
	// Offset and Length are the range of the file that is asked for, in bytes (§8.3): from
	// Offset on, at most Length; 0 for a Length that reaches to the end. They are not
	// negative.
	Offset, Length int64
}

// IsRange reports whether the command asks for a part of the file only.
func (c SendFile) IsRange() bool { return c.Offset > 0 || c.Length > 0 }

// FileDigests is FILE_DIGESTS (§8.3).
type FileDigests struct {
	// Path is the file's path as the client sent it, as in [SendFile].
	Path string
	// Checksum is the name of an algorithm as the client sent it: any non-empty UTF-8 text.
	Checksum string
	// Block asks for the digests of the blocks of the file, which have so many bytes each; 0
	// for the digest of the file.
	Block int64
	// NoVerifyChecksums says not to verify the page checksums of the file.
	NoVerifyChecksums bool
}

// ListBackups is LIST_BACKUPS (§8.2).
type ListBackups struct{}

// AlterBackup is ALTER_BACKUP (§8.2).
type AlterBackup struct {
	// Backup is the beginning of the id of the backup as the client sent it: any
	// non-empty UTF-8 text; empty for the backup that the session leads.
	Backup string
	// MaxRate is the new rate, as in [StartBackup]; 0 for no limit.
	MaxRate int
}

// IdentifySystem is IDENTIFY_SYSTEM (§4.9).
type IdentifySystem struct{}

// Show is SHOW (§4.9).
type Show struct {
	// Name is the name of a setting, never empty: what was not in double quotes is
	// in lower case, the parts of a qualified name are joined by dots.
	Name string
}

// TimelineHistory is TIMELINE_HISTORY (§4.9).
type TimelineHistory struct {
	Timeline protocol.Timeline // from 1
}

func (StartBackup) command()     {}
func (JoinBackup) command()      {}
func (StopBackup) command()      {}
func (ListTablespaces) command() {}
func (ListFiles) command()       {}
func (ListWALFiles) command()    {}
func (SendFile) command()        {}
func (FileDigests) command()     {}
func (ListBackups) command()     {}
func (AlterBackup) command()     {}
func (IdentifySystem) command()  {}
func (Show) command()            {}
func (TimelineHistory) command() {}
