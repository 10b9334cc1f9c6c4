package walsendertest

import (
	"context"
	"fmt"
	"iter"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// Unlisted leaves the file out of every listing, LIST_WAL_FILES included. It can be
// sent all the same.
func Unlisted(path string) Fault {
	return listing(fmt.Sprintf("Unlisted(%q)", path), func(f *armedFault, row protocol.File) []protocol.File {
		if row.Path == path {
			f.happens(nil)
			return nil
		}
		return []protocol.File{row}
	})
}

// ListedTwice lists the file twice.
func ListedTwice(path string) Fault {
	return listing(fmt.Sprintf("ListedTwice(%q)", path), func(f *armedFault, row protocol.File) []protocol.File {
		if row.Path == path {
			f.happens(nil)
			return []protocol.File{row, row}
		}
		return []protocol.File{row}
	})
}

// ListedRow adds a row before the last one of the listing of the tablespace, of the data
// directory for "". The row may be hostile: a path that leaves the directory, a link
// that leads nowhere.
func ListedRow(tablespace string, hostile protocol.File) Fault {
	text := fmt.Sprintf("ListedRow(%q, {%q %c})", tablespace, hostile.Path, hostile.Type)
	return Fault{text: text, cluster: func(l layer, f *armedFault) walsender.Cluster { return extraRow{l, f, tablespace, hostile} }}
}

type extraRow struct {
	layer
	fault      *armedFault
	tablespace string
	hostile    protocol.File
}

// Files keeps one row back, so that the last one stays the last.
func (e extraRow) Files(ctx context.Context, tablespace string, notice protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	rows := e.layer.Files(ctx, tablespace, notice)
	if tablespace != e.tablespace {
		return rows
	}
	return func(yield func(protocol.File, error) bool) {
		var last protocol.File
		for row, err := range rows {
			if err != nil {
				yield(row, err)
				return
			}
			if last.Path != "" && !yield(last, nil) {
				return
			}
			last = row
		}
		e.fault.happens(nil)
		if yield(e.hostile, nil) && last.Path != "" {
			yield(last, nil)
		}
	}
}

// listing is a fault that turns a row into several, or none.
func listing(text string, turn func(f *armedFault, row protocol.File) []protocol.File) Fault {
	return Fault{text: text, cluster: func(l layer, f *armedFault) walsender.Cluster {
		return turnedListing{l, func(row protocol.File) []protocol.File { return turn(f, row) }}
	}}
}

type turnedListing struct {
	layer
	turn func(row protocol.File) []protocol.File
}

func (t turnedListing) Files(ctx context.Context, tablespace string, notice protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	return t.turned(t.layer.Files(ctx, tablespace, notice))
}

func (t turnedListing) WALFiles(ctx context.Context, start, end protocol.LSN) iter.Seq2[protocol.File, error] {
	return t.turned(t.layer.WALFiles(ctx, start, end))
}

func (t turnedListing) turned(rows iter.Seq2[protocol.File, error]) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		for row, err := range rows {
			if err != nil {
				yield(row, err)
				return
			}
			for _, turned := range t.turn(row) {
				if !yield(turned, nil) {
					return
				}
			}
		}
	}
}
