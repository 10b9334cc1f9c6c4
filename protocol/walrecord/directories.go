package walrecord

import (
	"bytes"
	"encoding/binary"

	"github.com/pgparallel/pgparallel/protocol"
)

// The managers of the records that create and drop directories (access/rmgrlist.h), and their kinds
// (commands/tablespace.h, commands/dbcommands_xlog.h).
const (
	managerDatabase   = 4
	managerTablespace = 5

	kindCreateTablespace = 0x00 // XLOG_TBLSPC_CREATE
	kindDropTablespace   = 0x10 // XLOG_TBLSPC_DROP
	kindCopyDatabase     = 0x00 // XLOG_DBASE_CREATE_FILE_COPY; XLOG_DBASE_CREATE before 15
	kindLogDatabase      = 0x10 // XLOG_DBASE_CREATE_WAL_LOG; XLOG_DBASE_DROP before 15
	kindDropDatabase     = 0x20 // XLOG_DBASE_DROP
)

// What a record of little has in the place of blocks ahead of its data
// (access/xlogrecord.h).
const (
	dataShort   = 255 // XLR_BLOCK_ID_DATA_SHORT, with a length of one byte
	dataLong    = 254 // XLR_BLOCK_ID_DATA_LONG, with one of four
	origin      = 253 // XLR_BLOCK_ID_ORIGIN, with two bytes
	transaction = 252 // XLR_BLOCK_ID_TOPLEVEL_XID, with four
)

// maxChanges is how many changes of tablespaces, and how many of databases, a run keeps.
const maxChanges = 1 << 18

// Directories are the changes by which replay makes directories of what is not in the WAL, and
// removes them, in the order of the records.
type Directories struct {
	Tablespaces []TablespaceChange
	Databases   []DatabaseChange
	// Unknown is where the first record starts that is of their managers and was not
	// understood, or one too many; 0: there is none.
	Unknown protocol.LSN
}

// TablespaceChange is a record by which replay links a tablespace to a location, or drops it.
type TablespaceChange struct {
	Start    protocol.LSN
	OID      uint32
	Location string // empty: in place, or dropped
	Dropped  bool
}

// DatabaseChange is what a record says by which replay makes the directory of a database, or
// drops it. A record that drops several is as many changes.
type DatabaseChange struct {
	Start     protocol.LSN
	Directory DatabaseDirectory
	// Template is the directory whose files are copied. Zero means that none is: all
	// that becomes of the directory is in the WAL, or it is dropped.
	Template DatabaseDirectory
	Dropped  bool
}

// DatabaseDirectory is what a database has in a tablespace, by their OIDs.
type DatabaseDirectory struct{ Database, Tablespace uint32 }

// add takes a record of the format, given its first bytes: recordPrefix of them, unless it
// has fewer.
func (c *Directories) add(record *Record, f format, order binary.ByteOrder, b []byte) {
	if record.Manager != managerDatabase && record.Manager != managerTablespace {
		return // as most
	}
	understood := false
	if data, whole := mainData(b, order, record.Length); whole {
		if record.Manager == managerDatabase {
			understood = c.addDatabase(record, f, order, data)
		} else {
			understood = c.addTablespace(record, order, data)
		}
	}
	if !understood {
		c.miss(record.Start)
	}
}

func (c *Directories) addTablespace(record *Record, order binary.ByteOrder, data []byte) bool {
	t := TablespaceChange{Start: record.Start}
	switch kind := record.Info & 0xF0; {
	case kind == kindCreateTablespace:
		path, _, terminated := bytes.Cut(data[min(4, len(data)):], []byte{0})
		if !terminated {
			return false
		}
		t.Location = string(path)
	case kind == kindDropTablespace && len(data) == 4:
		t.Dropped = true
	default:
		return false
	}
	t.OID = order.Uint32(data)
	c.Tablespaces = append(c.Tablespaces, t)
	return len(c.Tablespaces) <= maxChanges
}

func (c *Directories) addDatabase(record *Record, f format, order binary.ByteOrder, data []byte) bool {
	kind := record.Info & 0xF0
	if f.copiesDatabases && kind == kindLogDatabase {
		kind = kindDropDatabase
	}
	d := DatabaseChange{Start: record.Start}
	switch {
	case kind == kindDropDatabase:
		return c.dropDatabase(record, order, data)
	case kind == kindCopyDatabase && len(data) == 16:
		d.Template = DatabaseDirectory{order.Uint32(data[8:]), order.Uint32(data[12:])}
	case kind == kindLogDatabase && len(data) == 8:
	default:
		return false
	}
	d.Directory = DatabaseDirectory{order.Uint32(data), order.Uint32(data[4:])}
	c.Databases = append(c.Databases, d)
	return len(c.Databases) <= maxChanges
}

// dropDatabase takes an xl_dbase_drop_rec: the database, how many tablespaces it has
// directories in, and these.
func (c *Directories) dropDatabase(record *Record, order binary.ByteOrder, data []byte) bool {
	const head = 8
	if len(data) < head || int64(len(data)) != head+4*int64(order.Uint32(data[4:])) {
		return false
	}
	for at := head; at < len(data); at += 4 {
		directory := DatabaseDirectory{order.Uint32(data), order.Uint32(data[at:])}
		c.Databases = append(c.Databases, DatabaseChange{Start: record.Start, Directory: directory, Dropped: true})
	}
	return len(c.Databases) <= maxChanges
}

// join appends those of the records that follow.
func (c *Directories) join(next Directories) {
	c.Tablespaces = append(c.Tablespaces, next.Tablespaces...)
	c.Databases = append(c.Databases, next.Databases...)
	if len(c.Tablespaces) > maxChanges {
		c.miss(c.Tablespaces[maxChanges].Start)
	}
	if len(c.Databases) > maxChanges {
		c.miss(c.Databases[maxChanges].Start)
	}
	if next.Unknown != 0 {
		c.miss(next.Unknown)
	}
}

// miss notes a record that is not kept.
func (c *Directories) miss(start protocol.LSN) {
	if c.Unknown == 0 || start < c.Unknown {
		c.Unknown = start
	}
	c.Tablespaces = c.Tablespaces[:min(len(c.Tablespaces), maxChanges)]
	c.Databases = c.Databases[:min(len(c.Databases), maxChanges)]
}

// mainData is the data of a record without blocks, given its first bytes. It reports false
// where the record has blocks, or is longer than recordPrefix.
func mainData(b []byte, order binary.ByteOrder, length uint32) (data []byte, whole bool) {
	if length > recordPrefix {
		return nil, false
	}
	for b = b[recordHeader:]; len(b) > 0; {
		kind, rest := b[0], b[1:]
		switch {
		case kind == origin && len(rest) >= 2:
			b = rest[2:]
		case kind == transaction && len(rest) >= 4:
			b = rest[4:]
		case kind == dataShort && len(rest) >= 1:
			return rest[1:], int(rest[0]) == len(rest)-1
		case kind == dataLong && len(rest) >= 4:
			return rest[4:], int64(order.Uint32(rest)) == int64(len(rest))-4
		default:
			return nil, false
		}
	}
	return nil, true
}
