package backupdir_test

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/backupdir"
)

// A backup that is not what its manifest says is refused when a copy begins, and the file
// that is wrong is refused for itself.
func TestBackup_9_3_HeldAgainstManifest(t *testing.T) {
	const relation, spaced = "base/5/20000", "pg_tblspc/16390/PG_15_202209061/1/20001"
	backup := take(t, sample(t))
	for _, test := range []struct {
		name   string
		break_ func(t *testing.T, dir string)
		file   string // that is wrong; empty: one that nobody would ask for
		text   string
	}{
		{"missing", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, relation))) },
			relation, "is present in the manifest but not on disk"},
		{"missing in a tablespace", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, spaced))) },
			spaced, "is present in the manifest but not on disk"},
		{"missing and never listed", func(t *testing.T, dir string) {
			rewriteManifest(t, dir, func(m *manifest.Manifest) {
				m.Files = append(m.Files, manifest.File{Path: "tablespace_map", Size: 1, Algorithm: manifest.ChecksumNone})
			})
		}, "", `"tablespace_map" is present in the manifest but not on disk`},
		{"short", func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, relation), 8192)) },
			relation, "has size 8192 on disk but size 24576 in the manifest"},
		{"longer in a tablespace", func(t *testing.T, dir string) { appendTo(t, filepath.Join(dir, spaced), make([]byte, 8192)) },
			spaced, "has size 32768 on disk but size 24576 in the manifest"},
		{"extra", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "base/5/40000"), nil) },
			"base/5/40000", "is present on disk but not in the manifest"},
		{"a tablespace whose directory is not there", func(t *testing.T, dir string) {
			must(t, os.Symlink(t.TempDir(), filepath.Join(dir, "pg_tblspc/16999")))
		}, "", "could not open directory"},
		{"label", func(t *testing.T, dir string) { appendTo(t, filepath.Join(dir, "backup_label"), []byte("\n")) }, "", `"backup_label"`},
		{"version", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "PG_VERSION"), []byte("15 ")) },
			"", `checksum mismatch for file "PG_VERSION"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := clone(t, backup)
			b := open(t, dir, backupdir.Options{})
			if _, _, _, err := start(t, b); err != nil {
				t.Fatal(err)
			}
			test.break_(t, dir)
			b = open(t, dir, backupdir.Options{})
			_, _, _, err := start(t, b)
			wantError(t, err, "", test.text)
			if !protocol.HasCode(err, protocol.CodeDataCorrupted, protocol.CodeIOError) {
				t.Errorf("error %v", err)
			}
			if test.file != "" {
				_, _, err := read(t, b, test.file)
				wantError(t, err, protocol.CodeDataCorrupted, test.text)
				found := false
				for _, tablespace := range []string{"", "16390"} {
					for _, err := range b.Files(t.Context(), tablespace, func(*protocol.Error) {}) {
						found = found || protocol.HasCode(err, protocol.CodeDataCorrupted)
					}
				}
				if !found {
					t.Error("the listing has it")
				}
			}
		})
	}
}

// What -R writes into a backup does not make it another one, nor do directories or WAL.
func TestBackup_9_3_WrittenBehindTheManifest(t *testing.T) {
	dir := take(t, sample(t))
	appendTo(t, filepath.Join(dir, "postgresql.auto.conf"), []byte("primary_conninfo = ''\n"))
	write(t, filepath.Join(dir, "standby.signal"), nil)
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o700))
	b := open(t, dir, backupdir.Options{Verify: true})
	copied := filepath.Join(t.TempDir(), "copy")
	_, err := copyOf(t, b, copied)
	must(t, err)
	if _, err := os.Stat(filepath.Join(copied, "standby.signal")); err != nil {
		t.Error(err)
	}
}

// With Verify not a byte of a file leaves that has another checksum than in the manifest.
// Without, it is sent as it is: its size is right.
func TestBackup_9_3_Verify(t *testing.T) {
	const name = "base/5/20000_fsm"
	for format, change := range map[string][]func(*client.Options){"plain": nil, "tar": {inTar}} {
		t.Run(format, func(t *testing.T) {
			dir := take(t, sample(t), change...)
			content, _, err := read(t, open(t, dir, backupdir.Options{Verify: true}), name)
			must(t, err)
			where := filepath.Join(dir, name)
			if format == "tar" {
				where = filepath.Join(dir, "base.tar")
			}
			flip(t, where, content[len(content)-4096:])
			_, failures, err := read(t, open(t, dir, backupdir.Options{}), name)
			if err != nil || failures != 1 {
				t.Errorf("without Verify: %d failures, %v", failures, err)
			}
			b := open(t, dir, backupdir.Options{Verify: true})
			f, err := b.Open(t.Context(), name, protocol.OpenOptions{Notice: func(*protocol.Error) {}})
			if f != nil {
				t.Error("the file was opened")
			}
			wantError(t, err, protocol.CodeDataCorrupted, `checksum mismatch for file "`+name)
			_, err = copyOf(t, b, filepath.Join(t.TempDir(), "copy"))
			wantError(t, err, "", "checksum mismatch")
		})
	}
}

// A file that is written to while it is sent is not sent to its end.
func TestBackup_9_3_WrittenWhileSent(t *testing.T) {
	dir := take(t, sample(t))
	b := open(t, dir, backupdir.Options{})
	f, err := b.Open(t.Context(), "base/5/20000", protocol.OpenOptions{})
	must(t, err)
	defer f.Close()
	checked := f.(walsender.CheckedFile)
	must(t, checked.Check())
	must(t, os.Link(filepath.Join(dir, "base/5/20000"), filepath.Join(t.TempDir(), "copy"))) // writes nothing
	must(t, checked.Check())
	must(t, os.Truncate(filepath.Join(dir, "base/5/20000"), 100))
	wantError(t, checked.Check(), protocol.CodeDataCorrupted, "was written to while it was read")
}

// With Verify it is the bytes that are sent that are compared: the times of a file do not show
// who writes to it through a mapping, or sets them back.
func TestBackup_9_3_WrittenBehindItsTimes(t *testing.T) {
	const name = "base/5/20000"
	dir := take(t, sample(t))
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	must(t, err)
	b := open(t, dir, backupdir.Options{Verify: true})
	f, err := b.Open(t.Context(), name, protocol.OpenOptions{})
	must(t, err)
	defer f.Close()
	if _, _, ok := f.(walsender.DescriptorFile).Descriptor(); ok {
		t.Error("there is a descriptor of it")
	}
	content, err := os.ReadFile(path)
	must(t, err)
	content[len(content)-1] ^= 1
	must(t, os.WriteFile(path, content, 0o600))
	must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	must(t, f.(walsender.CheckedFile).Check()) // it sees nothing
	_, err = io.ReadAll(f)
	wantError(t, err, protocol.CodeDataCorrupted, "was written to while it was read")
}

// Pages that the server was writing when they were copied are in every backup. They are
// excused up to where the backup ends, and no further.
func TestBackup_9_3_TornPages(t *testing.T) {
	const name = "base/5/20000"
	backup := take(t, sample(t), func(o *client.Options) { o.WAL.Method = client.WALNone })
	for _, test := range []struct {
		lsn    func(i backupdir.Info) protocol.LSN
		excuse bool
	}{
		{func(i backupdir.Info) protocol.LSN { return i.Start - 8 }, false},
		{func(i backupdir.Info) protocol.LSN { return i.Start }, true},
		{func(i backupdir.Info) protocol.LSN { return i.Stop }, true},
		{func(i backupdir.Info) protocol.LSN { return i.Stop + 8 }, false},
	} {
		dir := clone(t, backup)
		b := open(t, dir, backupdir.Options{})
		lsn := test.lsn(b.Info())
		path := filepath.Join(dir, name)
		content, err := os.ReadFile(path)
		must(t, err)
		binary.NativeEndian.PutUint32(content, uint32(lsn>>32))
		binary.NativeEndian.PutUint32(content[4:], uint32(lsn))
		write(t, path, content)
		_, failures, err := read(t, b, name)
		if err != nil || failures != map[bool]int{true: 0, false: 1}[test.excuse] {
			t.Errorf("page at %v of %v to %v: %d failures, %v", lsn, b.Info().Start, b.Info().Stop, failures, err)
		}
	}
}

// A backup that a server is started on while a copy is made gives no copy.
func TestBackup_9_3_StartedMeanwhile(t *testing.T) {
	backup := take(t, sample(t))
	for name, change := range map[string]func(t *testing.T, dir string){
		"a server": func(t *testing.T, dir string) { write(t, filepath.Join(dir, "postmaster.opts"), nil) },
		"no label": func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, "backup_label"), filepath.Join(dir, "backup_label.old")))
		},
		"replaced": func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+".old")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := clone(t, backup)
			b := open(t, dir, backupdir.Options{})
			_, running, _, err := start(t, b)
			must(t, err)
			change(t, dir)
			if _, err := running.Stop(t.Context(), false, nil); !protocol.HasCode(err, protocol.CodeObjectNotInPrerequisite) {
				t.Errorf("stopped with %v", err)
			}
			if err := b.CheckBackup(t.Context()); !protocol.HasCode(err, protocol.CodeObjectNotInPrerequisite) {
				t.Errorf("started with %v", err)
			}
		})
	}
}

// What is no finished backup is not served as one: an error says what it is.
func TestOpen_9_3_Refused(t *testing.T) {
	backup := take(t, sample(t))
	rename := func(from, to string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { must(t, os.Rename(filepath.Join(dir, from), filepath.Join(dir, to))) }
	}
	put := func(name, content string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { write(t, filepath.Join(dir, name), []byte(content)) }
	}
	for _, test := range []struct {
		name     string
		change   func(t *testing.T, dir string)
		ordinary bool
		text     string
	}{
		{"no manifest", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "backup_manifest"))) }, true, "no backup_manifest"},
		{"started", put("postmaster.opts", ""), true, "postmaster.opts"},
		{"label gone", rename("backup_label", "backup_label.old"), true, "in production"},
		{"marker", put("pgparallel.incomplete", ""), false, `holds an unfinished backup: there is "pgparallel.incomplete" in it`},
		{"control file held", rename("global/pg_control", "global/pg_control.incomplete"), false, `"global/pg_control.incomplete"`},
		{"archive held", put("base.tar.incomplete", ""), false, `"base.tar.incomplete"`},
		{"manifest held", rename("backup_manifest", "backup_manifest.tmp"), false, `"backup_manifest.tmp"`},
		{"manifest cut", func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, "backup_manifest"), 1000)) }, false, "backup_manifest"},
		{"manifest changed", func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "backup_manifest"), []byte("PG_VERSION")) }, false, "manifest checksum mismatch"},
		{"manifest of another", func(t *testing.T, dir string) {
			rewriteManifest(t, dir, func(m *manifest.Manifest) { m.WALRanges[0].Start += 8 })
		}, false, "the manifest has the backup begin at"},
		{"manifest of another system", func(t *testing.T, dir string) {
			rewriteManifest(t, dir, func(m *manifest.Manifest) { m.Version, m.SystemID = 2, 5 })
		}, false, "manifest system identifier is 5, but"},
		{"manifest with a gap", func(t *testing.T, dir string) {
			rewriteManifest(t, dir, func(m *manifest.Manifest) {
				r := m.WALRanges[0]
				m.WALRanges = append([]manifest.WALRange{{Timeline: 2, Start: r.End + 8, End: r.End + 16}}, r)
			})
		}, false, "has a gap"},
		{"manifest without WAL", func(t *testing.T, dir string) {
			rewriteManifest(t, dir, func(m *manifest.Manifest) { m.WALRanges = nil })
		}, false, "where the backup ends is not known"},
		{"incremental by its label", func(t *testing.T, dir string) {
			appendTo(t, filepath.Join(dir, "backup_label"), []byte("INCREMENTAL FROM LSN: 0/100000\nINCREMENTAL FROM TLI: 1\n"))
		}, false, "this is an incremental backup"},
		{"incremental by its files", func(t *testing.T, dir string) {
			rewriteManifest(t, dir, func(m *manifest.Manifest) { m.Files[3].Path = "base/5/INCREMENTAL.1259" })
		}, false, "base/5/INCREMENTAL.1259"},
		{"label damaged", put("backup_label", "START WAL LOCATION: \n"), false, "invalid data in file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := clone(t, backup)
			test.change(t, dir)
			b, err := backupdir.Open(dir, backupdir.Options{})
			if b != nil {
				b.Close()
			}
			_, ordinary := errors.AsType[*backupdir.OrdinaryError](err)
			if wantError(t, err, "", test.text); ordinary != test.ordinary {
				t.Errorf("ordinary %v: %v", ordinary, err)
			}
		})
	}
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(name, content, 0o600))
}

func appendTo(t *testing.T, name string, more []byte) {
	t.Helper()
	content, err := os.ReadFile(name)
	must(t, err)
	write(t, name, append(content, more...))
}
