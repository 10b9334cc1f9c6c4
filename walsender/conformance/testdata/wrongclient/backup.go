package main

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

type backup struct {
	host, port, address, dir, walMethod string
	from, to                            string // the mapping
	jobs, minJobs                       int
	mistake                             string

	mu    sync.Mutex
	conns []*conn // all that were opened

	leader      *conn
	workers     []*conn
	mode        fs.FileMode
	segment     int64
	version     int
	system      protocol.System
	tablespaces []protocol.Tablespace
	spaces      map[string]string // directories of tablespaces by their links
	occupied    []occupied
	start       protocol.BackupStart
	stop        protocol.BackupStop
	stopRows    []protocol.Row // of a STOP_BACKUP that came too early
	late        bool           // the data is complete, damage and all
	damage      error          // what STOP_BACKUP said of it

	files      []protocol.File
	lost       map[string]int // attempts that failed by path
	done       map[string]manifest.File
	excuse     error // the first
	hasControl bool
	initForks  []protocol.File // made since the files were listed
}

func (b *backup) run() error {
	for _, step := range []func() error{
		b.vacant, b.connect, b.identify, b.listTablespaces, b.occupy, b.startBackup, b.listFiles, b.copyFiles,
		b.copyControl, b.lookAhead, b.stopBackup, b.checkTablespaces, b.lookBehind, b.copyWAL, b.finish,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	b.late = true
	return b.damage
}

func (b *backup) connect() (err error) {
	if b.is("makes-target-first") {
		if err := os.MkdirAll(b.dir, 0o700); err != nil {
			return err
		}
	}
	if b.leader, err = b.dial(); err != nil {
		return err
	}
	missing := 0
	for range b.jobs {
		c, err := b.dial()
		if err != nil {
			missing++
		}
		switch enough := b.minJobs > 0 && b.jobs-missing >= b.minJobs && !b.is("needs-all-workers"); {
		case err != nil && b.is("crashes-without-connection"):
			panic(err)
		case err != nil && (enough || b.is("goes-on-without-workers")):
			continue
		case err != nil:
			return err
		}
		b.workers = append(b.workers, c)
	}
	if b.is("two-commands") {
		b.leader.rows("LIST_TABLESPACES; LIST_FILES")
	}
	return nil
}

func (b *backup) identify() error {
	mode, err := b.leader.show("data_directory_mode")
	if err != nil {
		return err
	}
	if b.mode, err = protocol.ParseDataDirectoryMode(mode); err != nil {
		return err
	}
	switch {
	case b.is("ignores-group-access"):
		b.mode = 0o700
	case b.is("open-to-all"):
		b.mode = 0o755
	}
	segment, err := b.leader.show("wal_segment_size")
	if err != nil {
		return err
	}
	if b.segment, err = protocol.ParseWALSegmentSize(segment); err != nil {
		return err
	}
	version, err := b.leader.show("server_version_num")
	if err != nil {
		return err
	}
	if b.version, err = strconv.Atoi(version); err != nil {
		return err
	}
	row, err := b.leader.row("IDENTIFY_SYSTEM")
	if err != nil {
		return err
	}
	b.system, err = protocol.DecodeSystem(row)
	return err
}

func (b *backup) listTablespaces() (err error) {
	if !b.is("no-tablespaces-before") {
		b.tablespaces, err = b.askTablespaces()
	}
	return err
}

func (b *backup) askTablespaces() ([]protocol.Tablespace, error) {
	rows, err := b.leader.rows("LIST_TABLESPACES")
	if err != nil && !b.is("ignores-listing-error") {
		return nil, err
	}
	var list []protocol.Tablespace
	for _, row := range rows {
		t, err := protocol.DecodeTablespace(row)
		if err != nil {
			return nil, err
		}
		if t.OID != 0 {
			list = append(list, t)
		}
	}
	return list, nil
}

func (b *backup) startBackup() error {
	if b.is("lists-early") {
		if err := b.listNow(); err != nil {
			return err
		}
	}
	row, err := b.leader.row("START_BACKUP LABEL 'wrong client' FAST")
	if err != nil {
		return err
	}
	if b.start, err = protocol.DecodeBackupStart(row); err != nil {
		return err
	}
	var joined []*conn
	for _, c := range b.workers {
		switch err := b.join(c); {
		case err == nil || b.is("ignores-join-error"):
			joined = append(joined, c)
		case !b.is("goes-on-without-workers"):
			return err
		}
	}
	if b.is("never-joins") {
		joined = nil
	}
	if len(joined) == 0 {
		joined = []*conn{b.leader}
	}
	b.workers = joined
	return nil
}

func (b *backup) join(c *conn) error {
	if b.is("never-joins") {
		return nil
	}
	_, err := c.rows("JOIN_BACKUP " + b.quote(b.start.ID))
	return err
}

func (b *backup) stopBackup() error {
	command := "STOP_BACKUP NOWAIT"
	if b.is("waits-for-archive") {
		command = "STOP_BACKUP"
	}
	rows, err := b.stopRows, error(nil)
	if rows == nil {
		rows, err = b.leader.rows(command)
	}
	if len(rows) == 1 {
		var decoding error
		if b.stop, decoding = protocol.DecodeBackupStop(rows[0]); decoding != nil {
			return decoding
		}
	}
	switch {
	case err == nil:
	case b.is("ignores-stop-error"):
		if len(rows) == 0 { // make one up
			b.stop = protocol.BackupStop{StartPtr: b.start.StartPtr, StopPtr: b.start.StartPtr + 1, Label: b.start.Label, Timeline: b.start.Timeline, StopTimeline: b.start.Timeline}
			b.leader, err = b.dial()
			return err
		}
	case code(err) == protocol.CodeDataCorrupted && len(rows) == 1 && !b.is("damage-is-failure"):
		b.damage = err
	case b.is("any-late-error-is-damage") && len(rows) == 1:
		b.damage = err
	default:
		return err
	}
	if b.excuse != nil && b.stop.Label == "" && !b.is("excuses-without-label") {
		return b.excuse
	}
	return nil
}

func (b *backup) checkTablespaces() error {
	if b.is("ignores-new-tablespace") {
		return nil
	}
	now, err := b.askTablespaces()
	if err != nil {
		return err
	}
	for _, t := range now {
		if (!t.InPlace() || b.is("no-new-tablespace-at-all")) && !contains(b.tablespaces, t.OID) {
			return fmt.Errorf("tablespace %d is new", t.OID)
		}
	}
	return nil
}

func contains(list []protocol.Tablespace, oid uint32) bool {
	for _, t := range list {
		if t.OID == oid {
			return true
		}
	}
	return false
}
