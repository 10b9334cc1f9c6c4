package client

import (
	"encoding/binary"
	"fmt"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

// The fields of pg_control that all versions have at the same offset (PostgreSQL's
// catalog/pg_control.h).
const (
	controlVersionOffset    = 8  // uint32
	controlCheckpointOffset = 32 // of the last checkpoint's record
	controlLength           = 40
)

// controlCheckpoint is where a control file says that the last checkpoint's record is. It
// is in the byte order of the cluster's machine, in which the version is a small number.
func controlCheckpoint(content []byte) (protocol.LSN, error) {
	if len(content) < controlLength {
		return 0, fmt.Errorf("file %q has only %d bytes", output.ControlFile, len(content))
	}
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint32(content[controlVersionOffset:])&0xFFFF == 0 {
		order = binary.BigEndian
	}
	return protocol.LSN(order.Uint64(content[controlCheckpointOffset:])), nil
}
