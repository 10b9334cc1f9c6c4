package datadir

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// slotDirectory is where a cluster keeps its replication slots, each in a directory of its
// name, in a file of the name slotFile.
const (
	slotDirectory = "pg_replslot"
	slotFile      = "state"
)

// The file of a slot (ReplicationSlotOnDisk and ReplicationSlotPersistentData in
// replication/slot.h), by offsets in bytes. What lies behind them differs from version to
// version.
const (
	slotMagic = 0x1051CA1

	slotChecksum    = 4  // of what is behind it
	slotChecksummed = 8  // where that begins
	slotLength      = 12 // of what is behind that field
	slotName        = 16 // 64 bytes, filled up with zeros
	slotDatabase    = 80 // its OID; 0: the slot is a physical one
	slotRestart     = 96
	slotInvalidated = 104 // from 16 on: why; before, a position, which is that of restart then
	slotHeader      = 112 // more than is read of it

	slotLimit = 4096 // more than the file of any version has
)

// ReplicationSlot reads a slot that the cluster keeps; fs.ErrNotExist where it has none of
// the name. Of a cluster that runs it may be older than what the server knows. A damaged
// file is XX001.
func (d *Dir) ReplicationSlot(_ context.Context, name string) (protocol.ReplicationSlot, error) {
	path := slotDirectory + "/" + name + "/" + slotFile
	if strings.Contains(name, "/") || name == "" || name == "." || name == ".." {
		return protocol.ReplicationSlot{}, fs.ErrNotExist
	}
	content, err := d.readSlot(name)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, beneath.ErrSpecial):
		return protocol.ReplicationSlot{}, fmt.Errorf("replication slot %q: %w", name, fs.ErrNotExist)
	case err != nil:
		return protocol.ReplicationSlot{}, ioError("read file", path, err)
	}
	slot, err := decodeSlot(content, d.major)
	if err == nil && slot.Name != name {
		err = fmt.Errorf("it is of slot %q", protocol.Shorten(slot.Name, 64))
	}
	if err != nil {
		return slot, protocol.Errorf(protocol.CodeDataCorrupted, "replication slot file \"%s\" is damaged: %v", shown(path), err)
	}
	return slot, nil
}

// readSlot reads the file of a slot.
func (d *Dir) readSlot(name string) ([]byte, error) {
	all, err := d.root.Follow(slotDirectory)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	dir, err := all.Sub(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	content, _, err := dir.Read(slotFile, slotLimit)
	return content, err
}

// decodeSlot decodes the file of a slot of a major version.
func decodeSlot(b []byte, major int) (protocol.ReplicationSlot, error) {
	order := binary.NativeEndian
	var s protocol.ReplicationSlot
	switch {
	case len(b) < slotHeader:
		return s, fmt.Errorf("it has %d bytes", len(b))
	case order.Uint32(b) != slotMagic:
		return s, fmt.Errorf("its magic number is %08X", order.Uint32(b))
	case int64(order.Uint32(b[slotLength:])) != int64(len(b)-slotName):
		return s, fmt.Errorf("it has %d bytes and says that it has %d", len(b), int64(order.Uint32(b[slotLength:]))+slotName)
	case order.Uint32(b[slotChecksum:]) != crc32.Checksum(b[slotChecksummed:], crc32.MakeTable(crc32.Castagnoli)):
		return s, errors.New("its checksum is wrong")
	}
	s.Name, _, _ = strings.Cut(string(b[slotName:slotDatabase]), "\x00")
	s.Logical = order.Uint32(b[slotDatabase:]) != 0
	s.RestartLSN = protocol.LSN(order.Uint64(b[slotRestart:]))
	if major >= 16 {
		s.Invalidated = order.Uint32(b[slotInvalidated:]) != 0
	} else {
		s.Invalidated = s.RestartLSN == 0 && order.Uint64(b[slotInvalidated:]) != 0
	}
	return s, nil
}
