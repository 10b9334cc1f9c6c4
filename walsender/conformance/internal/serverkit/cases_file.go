package serverkit

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

func fileCases() []Case {
	return []Case{
		{rule.Must("S-FILE/001", "§4.6", "A file is one COPY, in pieces of at most 1 MiB."), func(t *conversation) {
			p := t.session()
			rows := p.done("LIST_FILES").rows
			p.start()
			for _, row := range rows[:min(len(rows), 200)] {
				f, _ := protocol.DecodeFile(row)
				if f.Type != protocol.TypeFile || f.Size > 16<<20 {
					continue
				}
				a := p.ask("SEND_FILE ('%s')", strings.ReplaceAll(f.Path, "'", "''"))
				if a.code == protocol.CodeUndefinedFile { // dropped meanwhile
					continue
				}
				t.want(a.kinds == "HdcCZ" || a.kinds == "HcCZ", fmt.Sprintf("%q: CopyOutResponse, CopyData, CopyDone, CommandComplete, ReadyForQuery", f.Path), "%s (%s)", a, a.kinds)
				t.want(a.tag == "SEND_FILE", "CommandComplete SEND_FILE", "%s", a.tag)
				t.want(a.longest <= wire.MaxFrame, "CopyData of at most 1 MiB", "%d bytes", a.longest)
			}
			p.stop()
		}},
		{rule.Must("S-FILE/002", "§4.6", "pg_control is a file of 8192 bytes, whole, and of the cluster that the server names."), func(t *conversation) {
			p := t.session()
			system := p.system()
			p.start()
			a := p.done("SEND_FILE ('%s') NOVERIFY_CHECKSUMS", controlFile)
			t.want(a.size == 8192, "8192 bytes", "%d", a.size)
			control, err := controlfile.Decode(a.head)
			t.want(err == nil, "a pg_control whose CRC is right", "%v", err)
			t.want(control.SystemID == system, fmt.Sprintf("the system identifier of IDENTIFY_SYSTEM, %d", system), "%d", control.SystemID)
			p.stop()
		}},
		{rule.Must("S-FILE/003", "§4.6", "A file that is gone is told from everything else."), func(t *conversation) {
			p := t.session()
			p.start()
			p.refused("58P01", "SEND_FILE ('base/1/99999999')")
			p.stop()
		}},
		{rule.Must("S-FILE/004", "§4.6", "A directory is no file."), func(t *conversation) {
			p := t.session()
			p.start()
			p.refused("42809", "SEND_FILE ('base')")
			p.stop()
		}},
		{rule.Must("S-FILE/005", "§4.6", "No path leads out of the data directory."), func(t *conversation) {
			p := t.session()
			p.start()
			for _, path := range []string{"", "/etc/passwd", "../PG_VERSION", "base/../PG_VERSION", "./PG_VERSION", "base//1", "base/.", ".."} {
				p.refused("22023", "SEND_FILE ('%s')", path)
			}
			p.stop()
		}},
		{rule.Must("S-FILE/006", "§4.6", "What is no part of a backup is not sent."), func(t *conversation) {
			p := t.session()
			p.start()
			for _, path := range []string{"postmaster.opts", "backup_manifest", "pg_wal/archive_status/x.done"} {
				a := p.ask("SEND_FILE ('%s')", path)
				t.want(a.code == "42501" && a.ready, fmt.Sprintf("%q: 42501", path), "%s", a)
			}
			p.stop()
		}},
		{rule.Must("S-FILE/007", "§4.6", "A session that joined gets the same files as the leader."), func(t *conversation) {
			leader := t.session()
			worker := t.joined(leader.start().ID)
			for _, path := range []string{"PG_VERSION", "base/1/PG_VERSION", "global/pg_filenode.map"} {
				one, other := leader.done("SEND_FILE ('%s')", path), worker.done("SEND_FILE ('%s')", path)
				t.want(one.size > 0 && one.size == other.size && one.sum == other.sum, path+": the same bytes",
					"%d bytes with the CRC-32C %08X, and %d with %08X", one.size, one.sum, other.size, other.sum)
			}
			leader.stop()
		}},
		{rule.Must("S-FILE/008", "§4.6", "The bytes of a file are the cluster's: PG_VERSION names the version that SHOW tells."), func(t *conversation) {
			p := t.session()
			number, _ := strconv.Atoi(p.done("SHOW server_version_num").text(0))
			p.start()
			for _, path := range []string{"PG_VERSION", "base/1/PG_VERSION"} {
				a := p.done("SEND_FILE ('%s')", path)
				t.want(string(a.head) == fmt.Sprintf("%d\n", number/10000), fmt.Sprintf("%s: the line %d", path, number/10000), "%q", protocol.Shorten(string(a.head), 60))
			}
			p.stop()
		}},
	}
}

func walCases() []Case {
	return []Case{
		{rule.Must("S-WAL/001", "§3.9", "The last WAL of a backup can be fetched when it is stopped, and is what its name says."), func(t *conversation) {
			p := t.session()
			system := p.system()
			size, _ := protocol.ParseWALSegmentSize(p.done("SHOW wal_segment_size").text(0))
			p.start()
			stop := p.stop()
			command := fmt.Sprintf("LIST_WAL_FILES START_WAL_LOCATION '%s'", stop.text(0))
			if end := stop.text(3); end != "" {
				command += fmt.Sprintf(" END_WAL_LOCATION '%s'", end)
			}
			list := p.done("%s", command)
			p.shaped(list, protocol.FileColumns())
			t.want(len(list.rows) > 0, "at least one segment", "none")
			for _, row := range list.rows {
				t.want(strings.HasPrefix(string(row[0]), "pg_wal/"), "paths in pg_wal", "%q", row[0])
				a := p.done("SEND_FILE ('%s')", row[0])
				t.want(fmt.Sprint(a.size) == string(row[2]), fmt.Sprintf("%s: %s bytes", row[0], row[2]), "%d bytes", a.size)
				t.segment(string(row[0]), a.head, system, size)
			}
		}},
		{rule.Must("S-WAL/002", "§4.7", "A range ends after it starts."), func(t *conversation) {
			t.session().refused("22023", "LIST_WAL_FILES START_WAL_LOCATION '1/0' END_WAL_LOCATION '0/1'")
		}},
		{rule.Must("S-WAL/003", "§4.7", "A gap is an error, and not a shorter list."), func(t *conversation) {
			t.session().refused("58P01", "LIST_WAL_FILES START_WAL_LOCATION '0/1' END_WAL_LOCATION 'FFFFFFF/0'")
		}},
	}
}

// Fields of the header of a segment's first page, in the byte order of the cluster
// (PostgreSQL's access/xlog_internal.h).
const (
	walMagic       = 0
	walAddress     = 8
	walSystem      = 24
	walSegmentSize = 32
	walLongHeader  = 40
)

// segment wants the first page of a WAL segment to belong to the name. A history file
// has no pages.
func (t *conversation) segment(path string, page []byte, system uint64, size int64) {
	_, begin, isSegment := protocol.ParseWALFileName(strings.TrimPrefix(path, "pg_wal/"), size)
	if !isSegment || t.found != nil {
		return
	}
	if len(page) < walLongHeader {
		t.fail(path+": a page", "%d bytes", len(page))
		return
	}
	order := binary.LittleEndian
	magic := order.Uint16(page[walMagic:])
	t.want(magic>>8 == 0xD1, path+": the magic number of a WAL page, D1xx", "%04X", magic)
	t.want(order.Uint64(page[walAddress:]) == uint64(begin), fmt.Sprintf("%s: a first page at %v", path, begin), "%v", protocol.LSN(order.Uint64(page[walAddress:])))
	t.want(order.Uint64(page[walSystem:]) == system, fmt.Sprintf("%s: the system identifier %d", path, system), "%d", order.Uint64(page[walSystem:]))
	t.want(int64(order.Uint32(page[walSegmentSize:])) == size, fmt.Sprintf("%s: a segment size of %d", path, size), "%d", order.Uint32(page[walSegmentSize:]))
}

// system is the system identifier that IDENTIFY_SYSTEM tells.
func (p *peer) system() uint64 {
	a := p.done("IDENTIFY_SYSTEM")
	id, err := strconv.ParseUint(a.text(0), 10, 64)
	p.want(err == nil, "IDENTIFY_SYSTEM: a system identifier", "%q", a.text(0))
	return id
}

func otherCases() []Case {
	return []Case{
		{rule.Must("S-OTHER/001", "§4.9", "Every replication client begins with IDENTIFY_SYSTEM."), func(t *conversation) {
			p := t.session()
			a := p.done("IDENTIFY_SYSTEM")
			names := ""
			for _, c := range a.columns {
				names += c.Name + " "
			}
			t.want(names == "systemid timeline xlogpos dbname ", "systemid, timeline, xlogpos, dbname", "%s", names)
			t.want(len(a.rows) == 1, "one row", "%d rows", len(a.rows))
		}},
		{rule.Must("S-OTHER/002", "§4.9", "A client needs some settings, and gets them by SHOW."), func(t *conversation) {
			p := t.session()
			for _, name := range []string{
				"wal_segment_size", "data_directory_mode", "server_version", "server_version_num", "data_checksums",
				"block_size", "max_wal_senders", "in_hot_standby",
			} {
				a := p.done("SHOW %s", name)
				t.want(len(a.rows) == 1 && len(a.columns) == 1 && a.columns[0].Name == name, "one row with the column "+name, "%v", a.columns)
			}
			p.refused("42704", "SHOW no_such_parameter")
		}},
		{rule.Must("S-OTHER/003", "§4.9", "wal_segment_size and data_directory_mode have the form that clients read."), func(t *conversation) {
			p := t.session()
			_, err := protocol.ParseWALSegmentSize(p.done("SHOW wal_segment_size").text(0))
			t.want(err == nil, "a number and MB or GB", "%v", err)
			_, err = protocol.ParseDataDirectoryMode(p.done("SHOW data_directory_mode").text(0))
			t.want(err == nil, "0700 or 0750", "%v", err)
		}},
		{rule.Must("S-OTHER/004", "§4.9", "There is no timeline 0, and none without a history file."), func(t *conversation) {
			p := t.session()
			p.refused("42601", "TIMELINE_HISTORY 0")
			a := p.ask("TIMELINE_HISTORY 4000000000")
			t.want(a.code == "58P01" || a.code == "0A000", "58P01", "%s", a)
		}},
	}
}
