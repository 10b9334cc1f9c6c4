package client

import (
	"errors"

	"github.com/pgparallel/pgparallel/protocol"
)

// explain adds to the error that ended the stream what is likely to be behind it: the
// server says no more than that it ends, or that a segment is gone.
func (s *walStream) explain(err error) error {
	switch {
	case isCode(err, protocol.CodeAdminShutdown) && s.slot != "":
		return withHint(err, "Where the server was not shut down, the slot has reached max_slot_wal_keep_size or "+
			"idle_replication_slot_timeout, as the server's log tells: raise the limit, or make the backup faster.")
	case isCode(err, protocol.CodeUndefinedFile) && s.slot != "":
		return withHint(err, "The slot has reached max_slot_wal_keep_size: raise the limit, or make the backup faster.")
	case isCode(err, protocol.CodeUndefinedFile):
		return withHint(err, "Without a slot the server keeps what wal_keep_size says: raise that, or use a slot.")
	}
	return err
}

// walGone adds to the failure of fetching WAL what there is to do where the cluster has
// removed it.
func (b *backup) walGone(err error) error {
	if !isCode(err, protocol.CodeUndefinedFile) || b.walAccess() == protocol.WALKept {
		return err
	}
	return withHint(err, "The cluster has removed it before it was fetched. Have it streamed (\"pgparallel serve --passthrough\"), "+
		"raise wal_keep_size, or leave it out (--wal-method=none) where the cluster archives it.")
}

func isCode(err error, code string) bool {
	var e *protocol.Error
	return errors.As(err, &e) && e.Code == code
}

// withHint adds a hint to the server's error in err, unless the server gave one.
func withHint(err error, hint string) error {
	var e *protocol.Error
	if errors.As(err, &e) && e.Hint == "" {
		e.Hint = hint
	}
	return err
}
