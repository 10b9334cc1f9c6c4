package walsendertest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// Tablespaces lists those of the Sample, by OID, and the data directory last.
func (c *Cluster) Tablespaces(ctx context.Context, sizes bool) ([]protocol.Tablespace, error) {
	if err := c.build(); err != nil {
		return nil, err
	}
	var list []protocol.Tablespace
	for _, t := range c.sample.Tablespaces {
		list = append(list, protocol.Tablespace{OID: t.OID, Location: t.location(), Size: -1})
	}
	slices.SortFunc(list, func(a, b protocol.Tablespace) int { return cmp.Compare(a.OID, b.OID) })
	list = append(list, protocol.Tablespace{Size: -1})
	if sizes {
		for i := range list {
			list[i].Size = c.size(list[i].OID)
		}
	}
	return list, ctx.Err()
}

// location is what LIST_TABLESPACES shows.
func (t SampleTablespace) location() string {
	if t.Location == "" {
		return fmt.Sprintf("pg_tblspc/%d", t.OID)
	}
	return t.Location
}

// size is what a tablespace's files hold, in kB.
func (c *Cluster) size(oid uint32) int64 {
	total := int64(0)
	for f := range c.rows(oid) {
		total += f.Size
	}
	return total / 1024
}

// Files lists the data directory or a tablespace. The small files come before the
// others, the control file last.
func (c *Cluster) Files(_ context.Context, tablespace string, _ protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		oid, err := c.find(tablespace)
		if err != nil {
			yield(protocol.File{}, err)
			return
		}
		for f := range c.rows(oid) {
			if !yield(f, nil) {
				return
			}
		}
	}
}

// find is the OID of a tablespace given by its location or its OID, and 0 for the
// data directory.
func (c *Cluster) find(tablespace string) (uint32, error) {
	if err := c.build(); err != nil || tablespace == "" {
		return 0, err
	}
	for _, t := range c.sample.Tablespaces {
		if tablespace == t.location() || tablespace == fmt.Sprint(t.OID) {
			return t.OID, nil
		}
	}
	return 0, noTablespace(tablespace)
}

func noTablespace(name string) error {
	return protocol.Errorf(protocol.CodeUndefinedObject, `tablespace "%s" does not exist`, name)
}

// rows are the files of one tablespace, or for 0 of the data directory.
func (c *Cluster) rows(oid uint32) iter.Seq[protocol.File] {
	inside := fmt.Sprintf("pg_tblspc/%d/", oid)
	return func(yield func(protocol.File) bool) {
		for _, row := range c.tree.rows {
			switch {
			case oid != 0 && !strings.HasPrefix(row.Path, inside), oid == 0 && !inDataDirectory(row):
				continue
			case !yield(row):
				return
			case row.Path == "base/5" && !c.yieldSmallFiles(yield):
				return
			}
		}
	}
}

func (c *Cluster) yieldSmallFiles(yield func(protocol.File) bool) bool {
	for i := range c.sample.SmallFiles {
		name, pages := smallFile(i)
		row := protocol.File{Path: name, Type: protocol.TypeFile, Size: int64(pages) * pageSize, ModTime: sampleTime}
		if !yield(row) {
			return false
		}
	}
	return true
}

// inDataDirectory reports whether LIST_FILES shows the row without an argument: what
// pg_wal holds is LIST_WAL_FILES' part, what a tablespace holds its own list's.
func inDataDirectory(row protocol.File) bool {
	if rest, ok := strings.CutPrefix(row.Path, "pg_tblspc/"); ok {
		return !strings.Contains(rest, "/")
	}
	return row.Type != protocol.TypeFile || !strings.HasPrefix(row.Path, "pg_wal/")
}
