package walsendertest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// TablespaceAppears adds a tablespace to LIST_TABLESPACES once a backup has been stopped:
// it was made meanwhile (§5.8). LIST_FILES does not know it.
func TablespaceAppears(oid uint32, location string) Fault {
	text := fmt.Sprintf("TablespaceAppears(%d, %q)", oid, location)
	return Fault{text: text, times: 1, cluster: func(l layer, f *armedFault) walsender.Cluster {
		return &moreTablespaces{layer: l, fault: f, more: protocol.Tablespace{OID: oid, Location: location, Size: -1}}
	}}
}

type moreTablespaces struct {
	layer
	fault   *armedFault
	more    protocol.Tablespace
	stopped atomic.Bool
}

func (m *moreTablespaces) StartBackup(ctx context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	start, b, err := m.layer.StartBackup(ctx, r)
	return start, stopping{b, func(ctx context.Context, wait bool, notice protocol.NoticeFunc) (protocol.BackupStop, error) {
		defer m.stopped.Store(true)
		return b.Stop(ctx, wait, notice)
	}}, err
}

func (m *moreTablespaces) Tablespaces(ctx context.Context, sizes bool) ([]protocol.Tablespace, error) {
	list, err := m.layer.Tablespaces(ctx, sizes)
	if err != nil || !m.stopped.Load() {
		return list, err
	}
	m.fault.happens(nil)
	// Behind those with a smaller OID; the data directory stays the last.
	at, _ := slices.BinarySearchFunc(list[:len(list)-1], m.more, func(a, b protocol.Tablespace) int { return cmp.Compare(a.OID, b.OID) })
	return slices.Insert(list, at, m.more), nil
}

// TablespaceDropped has LIST_TABLESPACES show the tablespace, but its link and all that
// it holds is gone: 42704.
func TablespaceDropped(oid uint32) Fault {
	return Fault{text: fmt.Sprintf("TablespaceDropped(%d)", oid), cluster: func(l layer, f *armedFault) walsender.Cluster {
		return droppedTablespace{l, f, oid}
	}}
}

type droppedTablespace struct {
	layer
	fault *armedFault
	oid   uint32
}

func (d droppedTablespace) Files(ctx context.Context, tablespace string, notice protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	rows, link := d.layer.Files(ctx, tablespace, notice), fmt.Sprintf("pg_tblspc/%d", d.oid)
	return func(yield func(protocol.File, error) bool) {
		if asked, err := d.asked(ctx, tablespace); asked || err != nil {
			d.fault.happens(nil)
			yield(protocol.File{}, cmp.Or(err, noTablespace(tablespace)))
			return
		}
		for row, err := range rows {
			if row.Path != link && !yield(row, err) {
				return
			}
		}
	}
}

// asked reports whether the name is the dropped tablespace's OID or location.
func (d droppedTablespace) asked(ctx context.Context, name string) (bool, error) {
	list, err := d.layer.Tablespaces(ctx, false)
	return name != "" && slices.ContainsFunc(list, func(t protocol.Tablespace) bool {
		return t.OID == d.oid && (name == t.Location || name == fmt.Sprint(t.OID))
	}), err
}
