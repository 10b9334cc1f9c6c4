package conformance

import (
	"fmt"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

func serverFileCases() []serverCase {
	return []serverCase{
		{Case{"S-FILE/001", "§4.6", Must, "A file is one COPY, in pieces of at most 1 MiB."}, func(t *talk) {
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
				t.want(a.longest <= protocol.MaxFrame, "CopyData of at most 1 MiB", "%d bytes", a.longest)
			}
			p.ask("STOP_BACKUP NOWAIT")
		}},
		{Case{"S-FILE/002", "§4.6", Must, "pg_control is a file of 8192 bytes."}, func(t *talk) {
			p := t.session()
			p.start()
			a := p.done("SEND_FILE ('%s') NOVERIFY_CHECKSUMS", controlFile)
			t.want(a.size == 8192, "8192 bytes", "%d", a.size)
			p.done("STOP_BACKUP NOWAIT")
		}},
		{Case{"S-FILE/003", "§4.6", Must, "A file that is gone is told from everything else."}, func(t *talk) {
			p := t.session()
			p.start()
			p.refused("58P01", "SEND_FILE ('base/1/99999999')")
			p.done("STOP_BACKUP NOWAIT")
		}},
		{Case{"S-FILE/004", "§4.6", Must, "A directory is no file."}, func(t *talk) {
			p := t.session()
			p.start()
			p.refused("42809", "SEND_FILE ('base')")
			p.done("STOP_BACKUP NOWAIT")
		}},
		{Case{"S-FILE/005", "§4.6", Must, "No path leads out of the data directory."}, func(t *talk) {
			p := t.session()
			p.start()
			for _, path := range []string{"", "/etc/passwd", "../PG_VERSION", "base/../PG_VERSION", "./PG_VERSION", "base//1", "base/.", ".."} {
				p.refused("22023", "SEND_FILE ('%s')", path)
			}
			p.done("STOP_BACKUP NOWAIT")
		}},
		{Case{"S-FILE/006", "§4.6", Must, "What is no part of a backup is not sent."}, func(t *talk) {
			p := t.session()
			p.start()
			for _, path := range []string{"postmaster.opts", "backup_manifest", "pg_wal/archive_status/x.done"} {
				a := p.ask("SEND_FILE ('%s')", path)
				t.want(a.code == "42501" && a.ready, fmt.Sprintf("%q: 42501", path), "%s", a)
			}
			p.done("STOP_BACKUP NOWAIT")
		}},
		{Case{"S-FILE/007", "§4.6", Must, "A session that joined gets the same files as the leader."}, func(t *talk) {
			leader := t.session()
			worker := t.joined(leader.start().ID)
			one, other := leader.done("SEND_FILE ('PG_VERSION')"), worker.done("SEND_FILE ('PG_VERSION')")
			t.want(one.size > 0 && one.size == other.size, "the same number of bytes", "%d and %d", one.size, other.size)
			leader.done("STOP_BACKUP NOWAIT")
		}},
	}
}

func serverWALCases() []serverCase {
	return []serverCase{
		{Case{"S-WAL/001", "§3.9", Must, "The last WAL of a backup can be fetched when it is stopped."}, func(t *talk) {
			p := t.session()
			p.start()
			stop := p.done("STOP_BACKUP NOWAIT")
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
			}
		}},
		{Case{"S-WAL/002", "§4.7", Must, "A range ends after it starts."}, func(t *talk) {
			t.session().refused("22023", "LIST_WAL_FILES START_WAL_LOCATION '1/0' END_WAL_LOCATION '0/1'")
		}},
		{Case{"S-WAL/003", "§4.7", Must, "A gap is an error, and not a shorter list."}, func(t *talk) {
			t.session().refused("58P01", "LIST_WAL_FILES START_WAL_LOCATION '0/1' END_WAL_LOCATION 'FFFFFFF/0'")
		}},
	}
}

func serverOtherCases() []serverCase {
	return []serverCase{
		{Case{"S-OTHER/001", "§4.9", Must, "Every replication client begins with IDENTIFY_SYSTEM."}, func(t *talk) {
			p := t.session()
			a := p.done("IDENTIFY_SYSTEM")
			names := ""
			for _, c := range a.columns {
				names += c.Name + " "
			}
			t.want(names == "systemid timeline xlogpos dbname ", "systemid, timeline, xlogpos, dbname", "%s", names)
			t.want(len(a.rows) == 1, "one row", "%d rows", len(a.rows))
		}},
		{Case{"S-OTHER/002", "§4.9", Must, "A client needs some settings, and gets them by SHOW."}, func(t *talk) {
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
		{Case{"S-OTHER/003", "§4.9", Must, "wal_segment_size and data_directory_mode have the form that clients read."}, func(t *talk) {
			p := t.session()
			_, err := protocol.ParseWALSegmentSize(p.done("SHOW wal_segment_size").text(0))
			t.want(err == nil, "a number and MB or GB", "%v", err)
			_, err = protocol.ParseDataDirectoryMode(p.done("SHOW data_directory_mode").text(0))
			t.want(err == nil, "0700 or 0750", "%v", err)
		}},
		{Case{"S-OTHER/004", "§4.9", Must, "There is no timeline 0, and none without a history file."}, func(t *talk) {
			p := t.session()
			p.refused("42601", "TIMELINE_HISTORY 0")
			a := p.ask("TIMELINE_HISTORY 4000000000")
			t.want(a.code == "58P01" || a.code == "0A000", "58P01", "%s", a)
		}},
	}
}
