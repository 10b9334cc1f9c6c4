package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
)

func (b *backup) copyWAL() error {
	if b.is("manifest-before-wal") {
		if err := b.manifest(); err != nil {
			return err
		}
	}
	if b.is("null-stopptr-is-no-wal") && b.stop.StopPtr == 0 {
		return nil
	}
	if b.is("takes-no-wal") || b.is("obeys-x-none") && b.walMethod == "none" || b.is("wal-early") {
		return nil
	}
	return b.sendWAL(b.stop.StartPtr, b.stop.StopPtr)
}

// sendWAL copies the WAL of a range, and marks it as archived.
func (b *backup) sendWAL(start, end protocol.LSN) error {
	if b.done == nil {
		b.done = map[string]manifest.File{}
	}
	command := fmt.Sprintf("LIST_WAL_FILES START_WAL_LOCATION '%v'", start)
	if end != 0 {
		command += fmt.Sprintf(" END_WAL_LOCATION '%v'", end)
	}
	rows, err := b.leader.rows(command)
	if err != nil && !b.is("ignores-wal-list-error") {
		return err
	}
	if err := b.mkWAL(); err != nil {
		return err
	}
	var files []protocol.File
	listed := map[string]bool{}
	for _, row := range rows {
		f, err := protocol.DecodeFile(row)
		if !strings.HasPrefix(f.Path, "pg_wal/") || err != nil {
			if b.is("skips-bad-wal-rows") {
				continue
			}
			return fmt.Errorf("%q is no WAL: %w", f.Path, err)
		}
		listed[path.Base(f.Path)] = true
		if !b.is("no-history-files") || !strings.HasSuffix(f.Path, ".history") {
			files = append(files, f)
		}
	}
	if err := b.gap(listed, start, end); err != nil {
		return err
	}
	workers := b.workers
	if len(workers) == 0 {
		b.workers = []*conn{b.leader}
	}
	if b.lost == nil {
		b.lost = map[string]int{}
	}
	if err := b.copyAll(files); err != nil {
		return err
	}
	b.workers = workers
	if err := b.soundWAL(start, end); err != nil {
		return err
	}
	return b.archived(files, end)
}

// soundWAL is nil if the records from start to end, which lie in one segment, are the
// cluster's.
func (b *backup) soundWAL(start, end protocol.LSN) error {
	begin := start - start%protocol.LSN(b.segment)
	content, err := os.ReadFile(b.place("pg_wal/" + protocol.WALFileName(b.start.Timeline, begin, b.segment)))
	if errors.Is(err, fs.ErrNotExist) || b.is("does-not-read-the-wal") {
		return nil
	}
	source := walrecord.Source{SystemID: b.system.SystemID, SegmentSize: b.segment, Major: b.version / 10000}
	run := walrecord.NewRun(source, begin, start)
	run.Write(content)
	broken, ok := errors.AsType[*walrecord.Error](run.Err())
	if header := ok && broken.LSN < start; run.End() < end && (header || !b.is("reads-headers-of-wal-only")) {
		return fmt.Errorf("the WAL is not the backup's: %w", run.Err())
	}
	return err
}

func (b *backup) mkWAL() error {
	for _, dir := range []string{"pg_wal", "pg_wal/archive_status"} {
		if !b.exists(dir) {
			if err := b.mkdir(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// gap is nil if each segment of the range is in the list.
func (b *backup) gap(listed map[string]bool, start, end protocol.LSN) error {
	if b.is("trusts-the-wal-list") || b.is("ignores-wal-list-error") {
		return nil
	}
	for at := start - start%protocol.LSN(b.segment); at < end; at += protocol.LSN(b.segment) {
		if name := protocol.WALFileName(b.start.Timeline, at, b.segment); !listed[name] {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

// archived marks what is complete for good: a segment that ends behind the backup's end is
// not.
func (b *backup) archived(files []protocol.File, end protocol.LSN) error {
	if b.is("no-done-files") {
		return nil
	}
	for _, f := range files {
		_, at, segment := protocol.ParseWALFileName(path.Base(f.Path), b.segment)
		if segment && at+protocol.LSN(b.segment) > end && !b.is("marks-the-last-segment") {
			continue
		}
		if err := b.write("pg_wal/archive_status/"+path.Base(f.Path)+".done", nil); err != nil {
			return err
		}
	}
	return nil
}

func (b *backup) finish() error {
	if b.is("leaves-junk-in-wal") {
		if err := b.write("pg_wal/0000000100000000000000FF", []byte("garbage")); err != nil {
			return err
		}
	}
	if b.is("label-after-manifest") {
		err := errors.Join(b.release(), b.manifest())
		time.Sleep(soon)
		return errors.Join(err, b.label())
	}
	if b.is("manifest-before-control") {
		return errors.Join(b.label(), b.manifest(), b.release())
	}
	return errors.Join(b.label(), b.release(), b.manifest())
}

// release gives pg_control its name.
func (b *backup) release() error {
	switch {
	case b.is("leaves-control-incomplete"), b.is("goes-on-without-control") && !b.exists(controlHeld), b.is("excuses-any-error") && !b.exists(controlHeld),
		b.is("excuses-any-file") && !b.exists(controlHeld), b.is("control-under-its-name"):
	default:
		return os.Rename(b.place(controlHeld), b.place(controlFile))
	}
	return nil
}

func (b *backup) label() error {
	switch {
	case b.is("label-when-null") && b.stop.Label == "":
		return b.write("backup_label", []byte("START WAL LOCATION: 0/0 (file 000000010000000000000000)\n"))
	case b.stop.Label == "", b.is("no-label"), b.is("label-from-start") && b.start.Label == "":
		return nil
	case b.is("label-with-crlf"):
		return b.write("backup_label", []byte(strings.ReplaceAll(b.stop.Label, "\n", "\r\n")))
	}
	if b.is("label-from-start") {
		return b.write("backup_label", []byte(b.start.Label))
	}
	return b.write("backup_label", []byte(b.stop.Label))
}

func (b *backup) manifest() error {
	if b.is("no-manifest") {
		return nil
	}
	out, err := b.create("backup_manifest")
	if err != nil {
		return err
	}
	defer out.Close()
	o := manifest.Options{Version: 1, SystemID: b.system.SystemID}
	if b.version >= 170000 && !b.is("manifest-version-1") {
		o.Version = 2
	}
	m := manifest.NewWriter(out, o)
	for _, name := range slices.Sorted(maps.Keys(b.done)) {
		f := b.done[name]
		if strings.HasPrefix(name, "pg_wal/") {
			continue
		}
		if b.is("manifest-with-wrong-sums") {
			f.Checksum = make([]byte, len(f.Checksum))
		}
		if err := m.AddFile(f); err != nil {
			return err
		}
	}
	if b.stop.StopPtr == 0 {
		return errors.Join(m.Close(), out.Close())
	}
	ranges := []manifest.WALRange{{Timeline: b.stop.Timeline, Start: b.stop.StartPtr, End: b.stop.StopPtr}}
	if b.is("manifest-without-wal") {
		ranges = nil
	}
	return errors.Join(m.Close(ranges...), out.Close())
}
