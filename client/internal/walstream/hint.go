package walstream

import (
	"errors"

	"github.com/pgparallel/pgparallel/protocol"
)

// explain adds to the error that ended the stream what is likely to be behind it: the
// server says no more than that it ends, or that a segment is gone.
func (s *Stream) explain(err error) error {
	switch {
	case protocol.HasCode(err, protocol.CodeAdminShutdown) && s.slot != "":
		return WithHint(err, "Where the server was not shut down, the slot has reached max_slot_wal_keep_size or "+
			"idle_replication_slot_timeout, as the server's log tells: raise the limit, or make the backup faster.")
	case protocol.HasCode(err, protocol.CodeUndefinedFile) && s.slot != "":
		return WithHint(err, "The slot has reached max_slot_wal_keep_size: raise the limit, or make the backup faster.")
	case protocol.HasCode(err, protocol.CodeUndefinedFile):
		return WithHint(err, "Without a slot the server keeps what wal_keep_size says: raise that, or use a slot.")
	}
	return err
}

// WithHint adds a hint to the server's error in err, unless the server gave one.
func WithHint(err error, hint string) error {
	if e, ok := errors.AsType[*protocol.Error](err); ok && e.Hint == "" {
		e.Hint = hint
	}
	return err
}
