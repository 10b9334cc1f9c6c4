package grammar

import (
	"sync"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// The structs of this file are the grammar: what follows a field is its part of
// the syntax. Values stay tokens here, so that what is wrong with one can be
// reported at its place; meaning.go turns them into commands.

type query struct {
	Statement statement `parser:"@@ ';'?"`
}

type startBackup struct {
	Options []startBackupOption `parser:"'START_BACKUP' @@*"`
}

type startBackupOption struct {
	Tokens []lexer.Token `parser:"'LABEL' String | 'FAST' | 'MAX_RATE' Integer"`
}

type joinBackup struct {
	ID lexer.Token `parser:"'JOIN_BACKUP' @String"`
}

type stopBackup struct {
	NoWait bool `parser:"'STOP_BACKUP' @'NOWAIT'?"`
}

type listTablespaces struct {
	Progress bool `parser:"'LIST_TABLESPACES' @'PROGRESS'?"`
}

type listFiles struct {
	Tablespace *lexer.Token      `parser:"'LIST_FILES' @String?"`
	Options    []listFilesOption `parser:"@@*"`
}

type listFilesOption struct {
	Tokens []lexer.Token `parser:"'CHECKSUM' String | 'NOVERIFY_CHECKSUMS'"`
}

type listWALFiles struct {
	Options []listWALFilesOption `parser:"'LIST_WAL_FILES' @@*"`
}

type listWALFilesOption struct {
	Tokens []lexer.Token `parser:"'START_WAL_LOCATION' String | 'END_WAL_LOCATION' String"`
}

type sendFile struct {
	Path    lexer.Token      `parser:"'SEND_FILE' '(' @String ')'"`
	Options []sendFileOption `parser:"@@*"`
}

type sendFileOption struct {
	Tokens []lexer.Token `parser:"'NOVERIFY_CHECKSUMS' | 'DESCRIPTOR' | 'OFFSET' Integer | 'LENGTH' Integer"`
}

type fileDigests struct {
	Path     lexer.Token         `parser:"'FILE_DIGESTS' '(' @String ')'"`
	Checksum lexer.Token         `parser:"'CHECKSUM' @String"`
	Options  []fileDigestsOption `parser:"@@*"`
}

type fileDigestsOption struct {
	Tokens []lexer.Token `parser:"'BLOCK' Integer | 'NOVERIFY_CHECKSUMS'"`
}

type listBackups struct {
	Keyword lexer.Token `parser:"@'LIST_BACKUPS'"`
}

type alterBackup struct {
	Backup  *lexer.Token `parser:"'ALTER_BACKUP' @String?"`
	MaxRate lexer.Token  `parser:"'MAX_RATE' @Integer"`
}

// baseBackup takes whatever stands behind the keyword: what that means depends on the
// version of PostgreSQL (optionlist.go).
type baseBackup struct {
	Text []lexer.Token `parser:"'BASE_BACKUP' @( (Word | Name | String | Integer | Location | Character | Unterminated)* )"`
}

type identifySystem struct {
	Keyword lexer.Token `parser:"@'IDENTIFY_SYSTEM'"`
}

type show struct {
	Name []lexer.Token `parser:"'SHOW' @( (Word | Name) ('.' (Word | Name))* )"`
}

type timelineHistory struct {
	Timeline lexer.Token `parser:"'TIMELINE_HISTORY' @Integer"`
}

// parser is built at its first use. It holds no state of a parse.
var parser = sync.OnceValue(func() *participle.Parser[query] {
	return participle.MustBuild[query](
		participle.Lexer(definition{}),
		participle.CaseInsensitive("Word"),
		participle.Union[statement](
			startBackup{}, joinBackup{}, stopBackup{},
			listTablespaces{}, listFiles{}, listWALFiles{}, sendFile{}, fileDigests{},
			listBackups{}, alterBackup{},
			identifySystem{}, show{}, timelineHistory{}, baseBackup{},
			startReplication{}, createReplicationSlot{}, dropReplicationSlot{}, readReplicationSlot{},
		),
	)
})
