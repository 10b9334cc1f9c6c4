package walrecordtest

import (
	"encoding/binary"

	"github.com/pgparallel/pgparallel/protocol"
)

// CreateTablespace adds the record that creates a tablespace (XLOG_TBLSPC_CREATE).
func (l *Log) CreateTablespace(oid uint32, location string) (start protocol.LSN) {
	data := append(binary.LittleEndian.AppendUint32(nil, oid), location...)
	return l.Add(5, 0x00, mainData(append(data, 0)))
}

// CopyDatabase adds the record that creates a database from the files of another
// (XLOG_DBASE_CREATE_FILE_COPY): its OID, that of its tablespace, and those of the other.
func (l *Log) CopyDatabase(database, tablespace, template, from uint32) (start protocol.LSN) {
	return l.Add(4, 0x00, mainData(oids(database, tablespace, template, from)))
}

// LogDatabase adds the record that creates the directory of a database all files of which
// are in the log (XLOG_DBASE_CREATE_WAL_LOG, from PostgreSQL 15 on).
func (l *Log) LogDatabase(database, tablespace uint32) (start protocol.LSN) {
	return l.Add(4, 0x10, mainData(oids(database, tablespace)))
}

// DropDatabase adds the record that drops the directories of a database in tablespaces
// (XLOG_DBASE_DROP, as from PostgreSQL 15 on).
func (l *Log) DropDatabase(database uint32, tablespaces ...uint32) (start protocol.LSN) {
	return l.Add(4, 0x20, mainData(oids(append([]uint32{database, uint32(len(tablespaces))}, tablespaces...)...)))
}

// DropTablespace adds the record that drops a tablespace (XLOG_TBLSPC_DROP).
func (l *Log) DropTablespace(oid uint32) (start protocol.LSN) {
	return l.Add(5, 0x10, mainData(oids(oid)))
}

func oids(list ...uint32) []byte {
	var data []byte
	for _, oid := range list {
		data = binary.LittleEndian.AppendUint32(data, oid)
	}
	return data
}

// mainData is the data of a record with what comes ahead of it.
func mainData(data []byte) []byte {
	if len(data) < 256 {
		return append([]byte{255, byte(len(data))}, data...)
	}
	return append(binary.LittleEndian.AppendUint32([]byte{254}, uint32(len(data))), data...)
}
