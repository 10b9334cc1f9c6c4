package datadir

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

// fixture is a data directory with nothing in it but what opening it needs. WAL
// segments have 1 MiB.
type fixture struct {
	t    testing.TB
	path string
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// validControl is the control file of a cluster that was shut down.
func validControl() controlfile.Control {
	return controlfile.Control{
		SystemID: 7300000000000000001, Version: 1300, CatalogVersion: 202209061, State: controlfile.StateShutDown, Timeline: 1, PrevTimeline: 1,
		BlockSize: 8192, RelSegSize: 131072, WALBlockSize: 8192, WALSegmentSize: 1 << 20, DataChecksumVersion: 1,
	}
}

func newFixture(t testing.TB, c controlfile.Control) fixture {
	t.Helper()
	f := fixture{t, t.TempDir()}
	f.write("PG_VERSION", []byte("15\n"))
	f.control(c)
	for _, name := range []string{"pg_wal/archive_status", "pg_tblspc", "base/5"} {
		f.must(os.MkdirAll(f.at(name), 0o700))
	}
	return f
}

func (f fixture) at(name string) string { return filepath.Join(f.path, name) }

func (f fixture) must(err error) {
	f.t.Helper()
	must(f.t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f fixture) write(name string, content []byte) {
	f.t.Helper()
	f.must(os.MkdirAll(filepath.Dir(f.at(name)), 0o700))
	f.must(os.WriteFile(f.at(name), content, 0o600))
}

func (f fixture) control(c controlfile.Control) { f.write(controlName, c.Encode()) }

func (f fixture) open() *Dir {
	f.t.Helper()
	d, err := OpenDir(f.path, DirOptions{})
	f.must(err)
	f.t.Cleanup(func() { f.must(d.Close()) })
	return d
}

// wal writes whole segments [first, last], with page headers everywhere and the
// payload, which is one record, from lsn on, stepping over the headers.
func (f fixture) wal(c controlfile.Control, tli protocol.Timeline, first, last int, lsn protocol.LSN, payload []byte) {
	f.t.Helper()
	size := int(c.WALSegmentSize)
	for number := first; number <= last; number++ {
		segment := make([]byte, size)
		start := protocol.LSN(number * size)
		for at := 0; at < size; at += int(c.WALBlockSize) {
			putPageHeader(segment[at:], c, tli, start+protocol.LSN(at))
		}
		for at := range segment {
			page := at % int(c.WALBlockSize)
			if page == 0 && start+protocol.LSN(at) > lsn && len(payload) > 0 {
				segment[at+2] |= 0x01 // XLP_FIRST_IS_CONTRECORD
				binary.NativeEndian.PutUint32(segment[at+16:], uint32(len(payload)))
			}
			header := page < shortPageHeader || at < longPageHeader
			if !header && start+protocol.LSN(at) >= lsn && len(payload) > 0 {
				segment[at], payload = payload[0], payload[1:]
			}
		}
		f.write(walDirectory+"/"+protocol.WALFileName(tli, start, int64(size)), segment)
	}
}

func putPageHeader(page []byte, c controlfile.Control, tli protocol.Timeline, lsn protocol.LSN) {
	order := binary.NativeEndian
	order.PutUint16(page[0:], 0xD110)
	order.PutUint32(page[4:], uint32(tli))
	order.PutUint64(page[8:], uint64(lsn))
	if lsn%protocol.LSN(c.WALSegmentSize) == 0 {
		order.PutUint16(page[2:], longHeaderFlag)
		order.PutUint64(page[24:], c.SystemID)
		order.PutUint32(page[32:], c.WALSegmentSize)
		order.PutUint32(page[36:], c.WALBlockSize)
	}
}

// checkpointRecord is a record of the length of a checkpoint's, checksum and all.
func checkpointRecord(length int) []byte {
	record := make([]byte, length)
	for i := 24; i < length; i++ {
		record[i] = byte(i)
	}
	binary.NativeEndian.PutUint32(record, uint32(length))
	sum := crc32.Update(crc32.Checksum(record[24:], castagnoli), castagnoli, record[:20])
	binary.NativeEndian.PutUint32(record[20:], sum)
	return record
}

// code is the SQLSTATE of an error that goes to the peer, or what the error says.
func code(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return e.Code
	}
	return err.Error()
}
