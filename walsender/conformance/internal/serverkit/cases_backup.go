package serverkit

import (
	"fmt"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

func backupCases() []Case {
	return []Case{
		{rule.Must("S-BACKUP/001", "§4.1", "START_BACKUP says where the backup starts, and how others find it."), func(t *conversation) {
			p := t.session()
			a := p.done("START_BACKUP FAST")
			p.shaped(a, protocol.BackupStartColumns())
			t.want(a.tag == "START_BACKUP", "CommandComplete START_BACKUP", "%s", a)
			p.stop()
		}},
		{rule.Must("S-BACKUP/002", "§4.1", "The rate has bounds."), func(t *conversation) {
			p := t.session()
			p.refused("22003", "START_BACKUP MAX_RATE 31")
			p.refused("22003", "START_BACKUP MAX_RATE 1048577")
			p.refused("22003", "START_BACKUP MAX_RATE 99999999999999999999999")
		}},
		{rule.Must("S-BACKUP/003", "§4.1", "A label goes into a file of lines: it has bounds, and no line ends."), func(t *conversation) {
			p := t.session()
			p.refused("22023", "START_BACKUP LABEL 'two\nlines'")
			p.refused("22023", "START_BACKUP LABEL '%s'", strings.Repeat("x", 1025))
		}},
		{rule.Must("S-BACKUP/004", "§4.3", "STOP_BACKUP says which WAL the backup needs, and which label."), func(t *conversation) {
			p := t.session()
			start := p.start()
			a := p.stop()
			p.shaped(a, protocol.BackupStopColumns())
			if t.found != nil || len(a.rows) != 1 {
				t.fail("STOP_BACKUP: one row", "%d rows", len(a.rows))
				return
			}
			stop, err := protocol.DecodeBackupStop(a.rows[0])
			t.want(err == nil, "STOP_BACKUP: a row of the right form", "%v", err)
			t.want(stop.StartPtr == start.StartPtr, "the startptr of START_BACKUP", "%v and %v", start.StartPtr, stop.StartPtr)
			if stop.Label != "" {
				label, err := protocol.ParseBackupLabel(stop.Label)
				t.want(err == nil, "a backup_label that PostgreSQL reads", "%v", err)
				t.want(label.StartTimeline == stop.Timeline, "tli is the label's START TIMELINE", "%d and %d", stop.Timeline, label.StartTimeline)
			}
		}},
		{rule.Must("S-BACKUP/005", "§3.7", "After STOP_BACKUP the session is idle, and can start another backup."), func(t *conversation) {
			p := t.session()
			p.start()
			p.stop()
			p.refused("55000", "STOP_BACKUP")
			p.start()
			p.stop()
		}},
		{rule.Must("S-BACKUP/006", "§4.8", "On a standby pg_control says where the backup is consistent: the server holds that no other file comes after it."), func(t *conversation) {
			p := t.session()
			if p.parameters["in_hot_standby"] != "on" {
				return // replay from startptr makes up for any order
			}
			p.start()
			p.refused("55000", "STOP_BACKUP NOWAIT")
			p.done("SEND_FILE ('%s')", controlFile)
			p.done("SEND_FILE ('PG_VERSION')")
			p.refused("55000", "STOP_BACKUP NOWAIT")
			p.stop()
		}},
	}
}

func listCases() []Case {
	return []Case{
		{rule.Must("S-LIST/001", "§4.4", "The data directory is the last of the tablespaces."), func(t *conversation) {
			p := t.session()
			for _, command := range []string{"LIST_TABLESPACES", "LIST_TABLESPACES PROGRESS"} {
				a := p.done("%s", command)
				p.shaped(a, protocol.TablespaceColumns())
				if t.found != nil || len(a.rows) == 0 {
					t.fail(command+": at least one row", "none")
					return
				}
				last := a.rows[len(a.rows)-1]
				t.want(last[0] == nil && last[1] == nil, "NULL, NULL, size as the last row", "%q", last)
				t.want((last[2] == nil) == (command == "LIST_TABLESPACES"), "a size with PROGRESS only", "%q", last[2])
			}
		}},
		{rule.Must("S-LIST/002", "§4.5", "A listing can be worked on row by row: directories first, pg_control last."), func(t *conversation) {
			p := t.session()
			p.listing(p.done("LIST_FILES"))
		}},
		{rule.Must("S-LIST/003", "§4.5", "The empty name is that of the data directory."), func(t *conversation) {
			p := t.session()
			t.want(len(p.done("LIST_FILES").rows) > 0, "LIST_FILES: at least one row", "none")
			p.sameListing("LIST_FILES", "LIST_FILES ''")
		}},
		{rule.Must("S-LIST/004", "§4.5", "A tablespace that there is not is told from one that cannot be read."), func(t *conversation) {
			p := t.session()
			p.refused("42704", "LIST_FILES '/no/such/place'")
			p.refused("42704", "LIST_FILES '4000000000'")
		}},
		{rule.Must("S-LIST/005", "§4.5", "A tablespace is named by its OID or its location, and lists what lies in it."), func(t *conversation) {
			p := t.session()
			for _, row := range p.done("LIST_TABLESPACES").rows {
				if row[0] == nil {
					continue
				}
				byOID := fmt.Sprintf("LIST_FILES '%s'", row[0])
				p.sameListing(byOID, fmt.Sprintf("LIST_FILES '%s'", strings.ReplaceAll(string(row[1]), "'", "''")))
				for _, f := range p.done("%s", byOID).rows {
					t.want(strings.HasPrefix(string(f[0]), "pg_tblspc/"+string(row[0])+"/PG_"), "paths below pg_tblspc/OID/PG_…", "%q", f[0])
				}
			}
		}},
		{rule.Must("S-LIST/006", "§4.5", "What a base backup leaves out is not listed."), func(t *conversation) {
			p := t.session()
			for _, row := range p.done("LIST_FILES").rows {
				name := string(row[0])
				for _, left := range []string{"postmaster.pid", "postmaster.opts", "backup_label", "tablespace_map", "backup_manifest"} {
					t.want(name != left, left+" is left out", "it is listed")
				}
				inWAL := strings.HasPrefix(name, "pg_wal/") && string(row[1]) == "f"
				t.want(!inWAL && !strings.HasPrefix(name, "pg_replslot/"), "the contents of pg_wal and pg_replslot are left out", "%q is listed", name)
			}
		}},
	}
}

// sameListing wants two commands to list the same. The cluster may run, and make and
// remove files meanwhile: what counts is what one lists before and after the other.
func (p *peer) sameListing(command, other string) {
	var listed [4]map[string]bool
	for i := range listed {
		listed[i] = paths(p.done("%s", []string{command, other}[i%2]))
	}
	for i, between := range listed[1:3] {
		for path := range listed[i] {
			p.want(!listed[i+2][path] || between[path], other+": the same as "+command, "%q is in one of them only", path)
		}
	}
}

// paths are those of a listing.
func paths(a answer) map[string]bool {
	listed := map[string]bool{}
	for _, row := range a.rows {
		listed[string(row[0])] = true
	}
	return listed
}

// listing wants rows of LIST_FILES for the data directory.
func (p *peer) listing(a answer) {
	p.shaped(a, protocol.FileColumns())
	above := map[string]bool{"": true}
	seen := map[string]bool{}
	last := ""
	for _, row := range a.rows {
		f, err := protocol.DecodeFile(row)
		if err != nil {
			p.fail("rows of the right form", "%v", err)
			return
		}
		parent := ""
		if i := strings.LastIndexByte(f.Path, '/'); i >= 0 {
			parent = f.Path[:i]
		}
		p.want(above[parent], "a directory before what it holds", "%q comes first", f.Path)
		p.want(!seen[f.Path], "each path once", "%q twice", f.Path)
		above[f.Path] = above[f.Path] || f.Type != protocol.TypeFile
		seen[f.Path] = true
		last = f.Path
	}
	p.want(last == controlFile, controlFile+" as the last row", "%q", last)
	p.want(seen["PG_VERSION"], "PG_VERSION among the rows", "it is not there")
}
