package client

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/walrecord/walrecordtest"
)

// A backup is not complete unless its WAL begins it, leads to its end and ends it (§5.12),
// whether it is fetched or streamed, into a directory or an archive.
func TestBackup_5_12_Records(t *testing.T) {
	damage := func(f *fake, at int) {
		content := []byte(f.wal[segment1])
		content[at] ^= 1
		f.wal[segment1] = string(content)
	}
	primary := func(f *fake) { f.stop.Label = strings.Replace(f.stop.Label, "FROM: standby", "FROM: primary", 1) }
	for _, test := range []struct {
		name   string
		script func(f *fake)
		want   string // empty: it is complete
	}{
		{"whole", func(*fake) {}, ""},
		{"damaged before the end", func(f *fake) { damage(f, 0x60100) }, "invalid write-ahead log at 0/15F980: incorrect checksum of the record"},
		{"damaged behind the end", func(f *fake) { damage(f, 0x90000) }, ""},
		{"zeros", func(f *fake) { f.wal[segment1] = strings.Repeat("\x00", fakeSegment) }, "invalid write-ahead log at 0/100000"},
		{"another checkpoint", func(f *fake) {
			f.stop.Label = strings.Replace(f.stop.Label, "CHECKPOINT LOCATION: 0/100028", "CHECKPOINT LOCATION: 0/100828", 1)
		}, "the checkpoint that begins at 0/100028 is at 0/100028, and the label has it at 0/100828"},
		{"no checkpoint", func(f *fake) {
			l := walrecordtest.New(15, 7, fakeSegment, 1, 0x100028)
			l.FillTo(0x180000)
			f.withWAL(l)
		}, "it has no checkpoint that begins at 0/100028"},
		{"no end", primary, "there is no record before 0/180000 that ends the backup which started at 0/100028"},
		{"the end of another", func(f *fake) {
			primary(f)
			f.withWAL(endedLog(0x100828))
		}, "there is no record before 0/180000 that ends the backup"},
		{"the end", func(f *fake) {
			primary(f)
			f.withWAL(endedLog(0x100028))
		}, ""},
		{"shut down", func(f *fake) { f.stop.Label = "" }, ""},
		{"shut down, another checkpoint", func(f *fake) {
			f.stop.Label = ""
			f.files[output.ControlFile] = fakeControl(0x100828)
		}, "is at 0/100028, and global/pg_control has it at 0/100828"},
	} {
		for _, method := range []WALMethod{WALFetch, WALStream} {
			for _, archive := range []*ArchiveOptions{nil, {}} {
				name := test.name + map[WALMethod]string{WALFetch: ", fetched", WALStream: ", streamed"}[method] + map[bool]string{true: ", tar"}[archive != nil]
				t.Run(name, func(t *testing.T) {
					f := newFake(t)
					f.withStream()
					test.script(f)
					o := Options{ConnConfig: f.config(), WAL: WALOptions{Method: method}, Archive: archive, Jobs: 2}
					if test.want != "" {
						expectFailure(t, o, test.want)
						return
					}
					o.Dir = filepath.Join(t.TempDir(), "copy")
					_, err := Backup(t.Context(), o)
					must(t, err)
				})
			}
		}
	}
}

// endedLog is WAL with the record that ends the backup which started at a position.
func endedLog(start protocol.LSN) *walrecordtest.Log {
	l := walrecordtest.New(15, 7, fakeSegment, 1, 0x100028)
	l.Shutdown()
	l.FillTo(0x17FFD8)
	l.BackupEnd(start)
	return l
}
