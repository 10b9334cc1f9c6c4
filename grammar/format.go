package grammar

import (
	"regexp"
	"strconv"
	"strings"
)

// String is the command as a client sends it.
func (c StartBackup) String() string {
	text := "START_BACKUP"
	if c.Label != DefaultLabel {
		text += " LABEL " + quote(c.Label, "'")
	}
	if c.Fast {
		text += " FAST"
	}
	if c.MaxRate != 0 {
		text += " MAX_RATE " + strconv.Itoa(c.MaxRate)
	}
	return text
}

// String is the command as a client sends it. It holds the id, which is a secret.
func (c JoinBackup) String() string {
	return "JOIN_BACKUP " + quote(c.ID, "'")
}

// String is the command as a client sends it.
func (c StopBackup) String() string {
	if c.NoWait {
		return "STOP_BACKUP NOWAIT"
	}
	return "STOP_BACKUP"
}

// String is the command as a client sends it.
func (c ListTablespaces) String() string {
	if c.Progress {
		return "LIST_TABLESPACES PROGRESS"
	}
	return "LIST_TABLESPACES"
}

// String is the command as a client sends it.
func (c ListFiles) String() string {
	text := "LIST_FILES"
	if c.Tablespace != "" {
		text += " " + quote(c.Tablespace, "'")
	}
	if c.Checksum != "" {
		text += " CHECKSUM " + quote(c.Checksum, "'")
	}
	if c.NoVerifyChecksums {
		text += " NOVERIFY_CHECKSUMS"
	}
	return text
}

// String is the command as a client sends it.
func (c ListWALFiles) String() string {
	text := "LIST_WAL_FILES"
	if c.Start.Given {
		text += " START_WAL_LOCATION " + quote(c.Start.LSN.String(), "'")
	}
	if c.End.Given {
		text += " END_WAL_LOCATION " + quote(c.End.LSN.String(), "'")
	}
	return text
}

// String is the command as a client sends it.
func (c SendFile) String() string {
	text := "SEND_FILE (" + quote(c.Path, "'") + ")"
	if c.NoVerifyChecksums {
		text += " NOVERIFY_CHECKSUMS"
	}
	if c.Descriptor {
		text += " DESCRIPTOR"
	}
	if c.Offset != 0 {
		text += " OFFSET " + strconv.FormatInt(c.Offset, 10)
	}
	if c.Length != 0 {
		text += " LENGTH " + strconv.FormatInt(c.Length, 10)
	}
	return text
}

// String is the command as a client sends it.
func (c FileDigests) String() string {
	text := "FILE_DIGESTS (" + quote(c.Path, "'") + ") CHECKSUM " + quote(c.Checksum, "'")
	if c.Block != 0 {
		text += " BLOCK " + strconv.FormatInt(c.Block, 10)
	}
	if c.NoVerifyChecksums {
		text += " NOVERIFY_CHECKSUMS"
	}
	return text
}

// String is the command as a client sends it.
func (ListBackups) String() string { return "LIST_BACKUPS" }

// String is the command as a client sends it.
func (c AlterBackup) String() string {
	text := "ALTER_BACKUP"
	if c.Backup != "" {
		text += " " + quote(c.Backup, "'")
	}
	return text + " MAX_RATE " + strconv.Itoa(c.MaxRate)
}

// String is the command as a client sends it.
func (c IdentifySystem) String() string { return "IDENTIFY_SYSTEM" }

// plainName matches names that mean the same with and without double quotes. One
// with more dots could have more tokens than a command may, so it is quoted.
var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)?$`)

// String is the command as a client sends it.
func (c Show) String() string {
	if plainName.MatchString(c.Name) {
		return "SHOW " + c.Name
	}
	return "SHOW " + quote(c.Name, `"`)
}

// String is the command as a client sends it.
func (c TimelineHistory) String() string {
	return "TIMELINE_HISTORY " + strconv.FormatUint(uint64(c.Timeline), 10)
}

// quote encloses s in mark, which is doubled within.
func quote(s, mark string) string {
	return mark + strings.ReplaceAll(s, mark, mark+mark) + mark
}

// unquote is the reverse of quote.
func unquote(s string) string {
	mark := s[:1]
	return strings.ReplaceAll(s[1:len(s)-1], mark+mark, mark)
}
