package walsender

import (
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// firstSimpleRows is the first major version of PostgreSQL whose BASE_BACKUP describes its
// rows as other commands do.
const firstSimpleRows = 16

// position tells where the backup starts, or where it ends.
func (b *baseBackup) position(at protocol.LSN, tli protocol.Timeline) error {
	row := protocol.BaseBackupPosition{Position: at, Timeline: tli}
	return b.rows(protocol.BaseBackupPositionColumns(), true, row.Row(b.major))
}

// listTablespaces tells the tablespaces, with their sizes where these were asked for.
func (b *baseBackup) listTablespaces() error {
	rows := make([]protocol.Row, len(b.tablespaces))
	for i, t := range b.tablespaces {
		rows[i] = t.Row()
	}
	return b.rows(protocol.TablespaceColumns(), false, rows...)
}

// rows answers with a result set in the shape of the major version. positions says that
// the columns are those of a position, whose timeline older versions describe as if it
// were a text.
func (b *baseBackup) rows(columns []protocol.Column, positions bool, rows ...protocol.Row) error {
	description := wire.RowDescription(columns...)
	if b.major < firstSimpleRows {
		for i := range description.Fields {
			f := &description.Fields[i]
			f.TypeModifier = 0
			if positions {
				f.DataTypeSize = -1
			}
		}
	}
	messages := []pgproto3.BackendMessage{description}
	for _, row := range rows {
		messages = append(messages, wire.DataRow(row))
	}
	for _, m := range append(messages, &pgproto3.CommandComplete{CommandTag: []byte("SELECT")}) {
		if err := b.out.send(m); err != nil {
			return err
		}
	}
	return nil
}
