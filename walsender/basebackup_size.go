package walsender

import (
	"context"
	"strconv"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/tarheader"
)

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
		if err := impossible("Files", checkFile(f)); err != nil {
			return 0, err
		}
		if f.Path == controlFile {
			continue
		}
		size += tarheader.BlockSize + f.Size + tarheader.Padding(f.Size)
	}
	return size, nil
}
