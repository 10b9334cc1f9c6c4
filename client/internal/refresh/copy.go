package refresh

import (
	"errors"

	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/protocol"
)

// readCopy reads a COPY to its end: CopyOutResponse, CopyData, CopyDone, CommandComplete,
// ReadyForQuery; or ErrorResponse at any point of it, which is the first result. A file that an
// aborted backup refuses is an error.
func readCopy(conn *wire.Conn, path string, each func([]byte) error) (refused *protocol.Error, err error) {
	const (
		asked = iota
		copying
		copied
		complete
	)
	state := asked
	for {
		kind, body, err := conn.Next()
		if err != nil {
			return nil, err
		}
		switch {
		case kind == 'E' && refused == nil:
			if refused, err = wire.DecodeError(body); err != nil {
				return nil, err
			}
		case kind == 'Z' && (refused != nil || state == complete):
			if refused != nil && refused.Code == protocol.CodeObjectNotInPrerequisite {
				return nil, refused // the backup is over
			}
			return refused, nil
		case refused != nil:
			return nil, wire.Unexpected(kind)
		case kind == 'H' && state == asked:
			state = copying
		case kind == 'd' && state == copying:
			if err := each(body); err != nil {
				return nil, err
			}
		case kind == 'c' && state == copying:
			state = copied
		case kind == 'C' && state == copied:
			state = complete
		default:
			return nil, wire.Unexpected(kind)
		}
	}
}

// errShort says that a file has become shorter than its digests told.
var errShort = errors.New("the file has become shorter")
