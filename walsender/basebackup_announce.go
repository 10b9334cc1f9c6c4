package walsender

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/tarheader"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/internal/impossible"
)

// firstSimpleRows is the first major version of PostgreSQL whose BASE_BACKUP describes its
// rows as other commands do.
const firstSimpleRows = 16

// firstInPlace is the first major version of PostgreSQL that sends a tablespace in place as
// an archive of its own. To those before, it is a directory like others.
const firstInPlace = 16

// announce tells where the backup begins, and which tablespaces there are.
func (b *baseBackup) announce(ctx context.Context) error {
	if !b.options.WAL && b.from.StopUnknown {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
			"a backup of a cluster that was not shut down cleanly needs all of its WAL").
			WithHint("Ask for the WAL with the backup: pg_basebackup --wal-method=fetch.")
	}
	all, err := b.cluster.Tablespaces(ctx, false)
	if err == nil {
		err = impossible.Tablespaces(all)
	}
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.InPlace() && b.major < firstInPlace {
			b.inPlace = append(b.inPlace, t)
		} else {
			b.tablespaces = append(b.tablespaces, t)
		}
	}
	if b.options.Progress {
		if err := b.measure(ctx); err != nil {
			return err
		}
	}
	if err := b.position(b.from.StartPtr, b.from.Timeline); err != nil {
		return err
	}
	return b.listTablespaces()
}

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

// measure finds out how large the archives will be, for the client to show its progress.
// What comes with the backup itself, as the WAL, does not count.
func (b *baseBackup) measure(ctx context.Context) error {
	var total int64
	for i := range b.tablespaces {
		t := &b.tablespaces[i]
		size, err := b.archiveSize(ctx, *t)
		if err != nil {
			return err
		}
		t.Size = size / 1024
		total += size
	}
	b.member.noteSize(total)
	return nil
}

// archiveSize is the size of an archive in bytes.
func (b *baseBackup) archiveSize(ctx context.Context, t protocol.Tablespace) (int64, error) {
	if t.OID != 0 {
		return b.listingSize(ctx, strconv.FormatUint(uint64(t.OID), 10))
	}
	size, err := b.listingSize(ctx, "")
	for _, t := range b.inPlace {
		if err != nil {
			break
		}
		var more int64
		more, err = b.listingSize(ctx, strconv.FormatUint(uint64(t.OID), 10))
		size += more
	}
	return size, err
}

// listingSize is the size that a listing has in an archive. pg_control is not counted, for
// PostgreSQL does not count it.
func (b *baseBackup) listingSize(ctx context.Context, tablespace string) (int64, error) {
	var size int64
	for f, err := range b.cluster.Files(ctx, tablespace, func(*protocol.Error) {}) {
		if err != nil {
			return 0, err
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if err := impossible.File("Files", f); err != nil {
			return 0, err
		}
		if f.Path == controlFile {
			continue
		}
		size += tarheader.BlockSize + f.Size + tarheader.Padding(f.Size)
	}
	return size, nil
}
