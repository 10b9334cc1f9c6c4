package client

import (
	"context"
	"fmt"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// listFiles makes the listing.
func (b *backup) listFiles(context.Context) error {
	now, err := b.askTablespaces()
	if err != nil {
		return err
	}
	if err := b.checkNoneNew(now); err != nil {
		return err
	}
	p := newListingChecker(b.cluster.versionNum, now)
	if err := b.listInto(p, protocol.Tablespace{}); err != nil {
		return fmt.Errorf("could not list files of the data directory: %w", err)
	}
	for _, t := range now {
		err := b.listInto(p, t)
		if isGone(err) {
			b.excuses.add(protocol.PathState, fmt.Sprintf("tablespace %d has been dropped", t.OID))
			continue
		}
		if err != nil {
			return fmt.Errorf("could not list files of tablespace %d: %w", t.OID, err)
		}
	}
	if b.listing, err = p.finish(); err != nil {
		return err
	}
	b.progress.totalBytes.Store(b.listing.Bytes)
	b.progress.totalFiles.Store(int64(b.listing.Files.Len()) + 1)
	b.warnOfForeign()
	if err := b.out.Check(b.listing); err != nil {
		return err
	}
	if b.refresh == nil { // what is kept needs no room
		b.warnOfSpace()
	}
	return nil
}

func (b *backup) listInto(p *listingChecker, t protocol.Tablespace) error {
	command := grammar.ListFiles{Tablespace: t.Location}
	return b.leader.Rows(command.String(), func(row protocol.Row) error {
		f, err := protocol.DecodeFile(row)
		if err != nil {
			return err
		}
		return p.add(t.OID, f)
	})
}

// isGone reports whether the server says that a tablespace does not exist.
func isGone(err error) bool {
	return protocol.HasCode(err, protocol.CodeUndefinedObject)
}

// listAgain lists all files once more. What the server has to say about a list, it has
// said with the first.
func (b *backup) listAgain(each func(protocol.File) error) error {
	defer b.leader.DropNotices()()
	list := func(t protocol.Tablespace) error {
		command := grammar.ListFiles{Tablespace: t.Location}
		return b.leader.Rows(command.String(), func(row protocol.Row) error {
			f, err := protocol.DecodeFile(row)
			if err != nil {
				return err
			}
			return each(f)
		})
	}
	if err := list(protocol.Tablespace{}); err != nil {
		return fmt.Errorf("could not list files of the data directory: %w", err)
	}
	for _, t := range b.tablespaces {
		if err := list(t); err != nil && !isGone(err) {
			return fmt.Errorf("could not list files of tablespace %d: %w", t.OID, err)
		}
	}
	return nil
}
