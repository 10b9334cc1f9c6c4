package client

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/pgparallel/pgparallel/client/internal/datatree"
	"github.com/pgparallel/pgparallel/client/internal/walstream"
	"github.com/pgparallel/pgparallel/protocol"
)

// WALMethod says where the write-ahead log comes from that makes a backup
// consistent.
type WALMethod int

const (
	// WALDefault is WALStream where the server can stream, which one beside a
	// running cluster can, and WALFetch elsewhere.
	WALDefault WALMethod = iota
	// WALFetch copies the segments at the end of the backup. The server has
	// to keep them until then (wal_keep_size).
	WALFetch
	// WALNone copies none: they are taken from an archive when the backup is
	// restored, and the server is asked to wait until they are archived. Of a
	// cluster that gives no backup_label the segments are copied all the same,
	// for nothing else could supply them (§5.11).
	WALNone
	// WALStream receives the log while the files are copied, over a connection
	// of its own, with a replication slot that has the server keep what was not
	// received yet. Of a cluster that is stopped it is refused: nothing removes
	// the log, and WALFetch does it.
	WALStream
)

// checkWAL says which options of the WAL do not go together, and makes the path of
// their directory absolute.
func (o *Options) checkWAL() error {
	w := &o.WAL
	switch {
	case w.Slot != "" && (w.Method == WALNone || w.Method == WALFetch):
		return wrongOption("replication slots can only be used with WAL streaming", "WAL.Slot", "WAL.Method")
	case w.NoSlot && w.Slot != "":
		return wrongOption("%s cannot be used with slot name", "WAL.NoSlot", "WAL.Slot")
	case w.NoSlot && w.CreateSlot:
		return wrongOption("%s and %s are incompatible options", "WAL.CreateSlot", "WAL.NoSlot")
	case w.CreateSlot && w.Slot == "":
		return wrongOption("%s needs a slot to be specified using %s", "WAL.CreateSlot", "WAL.Slot")
	case w.Dir == "":
		return nil
	case !filepath.IsAbs(w.Dir):
		return wrongOption("WAL directory location must be an absolute path", "WAL.Dir")
	}
	var err error
	if w.Dir, err = datatree.Absolute(w.Dir); err != nil {
		return err
	}
	switch overlaps, err := datatree.Overlap(w.Dir, o.Dir); {
	case err != nil:
		return err
	case overlaps:
		return wrongOption(escaped(fmt.Sprintf("WAL directory %q overlaps with the data directory %q", w.Dir, o.Dir)), "WAL.Dir", "Dir")
	}
	return nil
}

// chooseWAL decides between WALStream and WALFetch by what the server says about its
// WAL (§1.5): streaming is not tried where it would fail.
func (b *backup) chooseWAL(context.Context) error {
	if b.WAL.Method == WALNone {
		return nil
	}
	access := b.walAccess()
	if b.WAL.Method != WALFetch && access == protocol.WALStreamed {
		b.WAL.Method = WALStream
		return b.checkGivenSlot()
	}
	who, err := b.whoDoesNotStream()
	if err != nil {
		return err
	}
	switch {
	case b.WAL.Slot != "":
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "could not use replication slot %q: %s stream write-ahead log", b.WAL.Slot, who).
			WithHint("%s", withoutStream(access))
	case b.WAL.Method == WALStream:
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "%s stream write-ahead log", who).
			WithHint("%s", withoutStream(access))
	case access == protocol.WALTransient:
		b.events.tell(LevelWarning, "write-ahead log is fetched at the end of the backup, and nothing but wal_keep_size keeps it until then: %s stream it", who)
	case b.WAL.Method == WALDefault:
		b.events.tell(LevelVerbose, "write-ahead log is fetched at the end of the backup: %s", whyFetched(access))
	}
	b.WAL.Method = WALFetch
	return nil
}

// walAccess is what the server says of its WAL.
func (b *backup) walAccess() protocol.WALAccess {
	return protocol.WALAccess(b.leader.Parameters[protocol.ParameterWAL])
}

// whoDoesNotStream is the beginning of a sentence that says why WAL cannot be streamed. It
// may be the session's rule (§1.11): such a session is refused any command of PostgreSQL's
// own. Where nothing is passed through, what is asked never reaches PostgreSQL.
func (b *backup) whoDoesNotStream() (string, error) {
	const server = "server does not"
	switch b.walAccess() {
	case protocol.WALTransient:
	case protocol.WALKept:
		return "no PostgreSQL runs to", nil
	default:
		return server, nil
	}
	err := b.leader.Rows("READ_REPLICATION_SLOT pgparallel", func(protocol.Row) error { return nil })
	if _, refused := errors.AsType[*protocol.Error](err); err != nil && !refused {
		return "", err
	}
	if protocol.HasCode(err, protocol.CodeInsufficientPrivilege) {
		return "the role may take backups, but not", nil
	}
	return server, nil
}

// withoutStream is what there is to do about a server that does not stream.
func withoutStream(access protocol.WALAccess) string {
	if access == protocol.WALTransient {
		return "Give \"pgparallel serve\" a role with REPLICATION by --passthrough and this role a rule without commands=backup, or have the write-ahead log fetched."
	}
	return "Nothing removes the write-ahead log of a stopped cluster: leave out the stream and the replication slot, and it is fetched at the end of the backup."
}

// whyFetched is why WAL is fetched that may as well be.
func whyFetched(access protocol.WALAccess) string {
	if access == protocol.WALKept {
		return "nothing removes it before"
	}
	return "server does not stream it"
}

// checkGivenSlot makes sure of a slot that was named, before anything is done. Before
// PostgreSQL 15 there is no command that asks.
func (b *backup) checkGivenSlot() error {
	if b.WAL.Slot == "" || b.cluster.versionNum < 150000 {
		return nil
	}
	return walstream.CheckSlot(b.leader, b.WAL.Slot, b.WAL.CreateSlot)
}
