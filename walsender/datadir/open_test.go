package datadir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

func TestOpen_4_6_Errors(t *testing.T) {
	f, _ := tree(t, validControl())
	f.write("secret/file", nil)
	f.must(os.Symlink(f.at("secret"), f.at("way")))
	d := f.open()
	for name, want := range map[string]string{
		"": protocol.CodeInvalidParameterValue, "/etc/passwd": protocol.CodeInvalidParameterValue, "../x": protocol.CodeInvalidParameterValue,
		"base//5": protocol.CodeInvalidParameterValue, "base/./5": protocol.CodeInvalidParameterValue, "a\x00b": protocol.CodeInvalidParameterValue,
		"base/5/99999": protocol.CodeUndefinedFile, "nosuch/file": protocol.CodeUndefinedFile,
		"pg_tblspc/99999/PG_15_202209061/5/1": protocol.CodeUndefinedFile,
		"pg_tblspc/16401/PG_15_202209061/5/1": protocol.CodeUndefinedFile, "pg_tblspc/16401/PG_15_202209061/6/1": protocol.CodeUndefinedFile,
		"base": protocol.CodeWrongObjectType, "pg_wal": protocol.CodeWrongObjectType, "pg_wal/archive_status": protocol.CodeWrongObjectType,
		"pg_tblspc": protocol.CodeWrongObjectType, "pg_tblspc/16401": protocol.CodeWrongObjectType, "pg_dynshmem": protocol.CodeWrongObjectType,
		"way/file": protocol.CodeInsufficientPrivilege, "link": protocol.CodeInsufficientPrivilege, "fifo": protocol.CodeInsufficientPrivilege,
		"socket": protocol.CodeInsufficientPrivilege, "inside/PG_15_202209061/5/16384": protocol.CodeInsufficientPrivilege, "inside/other": protocol.CodeInsufficientPrivilege,
		"pg_wal/archive_status/000000010000000000000001.done": protocol.CodeInsufficientPrivilege,
		"pg_wal/xlogtemp.1": protocol.CodeInsufficientPrivilege, "pg_wal/000000010000000000000001.partial": protocol.CodeInsufficientPrivilege,
		"pg_wal/000000010000000000000001.00000028.backup": protocol.CodeInsufficientPrivilege, "pg_wal/summaries": protocol.CodeInsufficientPrivilege,
		"pg_wal/00000002.history": protocol.CodeUndefinedFile, "pg_wal/000000010000000000000099": protocol.CodeUndefinedFile,
		"PG_VERSION/x": protocol.CodeIOError, // not a directory, which is not the same as gone
	} {
		file, err := d.Open(t.Context(), name, protocol.OpenOptions{})
		if code(err) != want {
			t.Errorf("opening %q: error %v, want %s", name, err, want)
		}
		if err == nil {
			f.must(file.Close())
		}
	}
	_, err := d.Open(t.Context(), "base/5/99999", protocol.OpenOptions{})
	if got := err.(*protocol.Error).Message; got != `could not open file "base/5/99999": No such file or directory` {
		t.Errorf("message %s", got)
	}
}

func TestOpen_Content(t *testing.T) {
	f := newFixture(t, validControl())
	content := bytes.Repeat([]byte("line\n"), 5000)
	f.write("log/postgresql.log", content)
	file, err := f.open().Open(t.Context(), "log/postgresql.log", protocol.OpenOptions{})
	f.must(err)
	info, err := file.Stat()
	f.must(err)
	if _, isStat := info.Sys().(*unix.Stat_t); info.Size() != 25000 || info.Name() != "postgresql.log" || info.IsDir() || !info.Mode().IsRegular() || !isStat {
		t.Errorf("status %v", info)
	}
	got, err := io.ReadAll(file)
	f.must(err)
	if !bytes.Equal(got, content) {
		t.Errorf("read %d bytes", len(got))
	}
	f.must(file.Close())
	if err := file.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	if _, err := file.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
}

// The relation becomes unlogged between the listing and the opening.
func TestOpen_4_6_InitFork(t *testing.T) {
	for _, recovery := range []bool{false, true} {
		for _, name := range []string{"base/5/16384", "base/5/16384_vm", "base/5/16384.1", "base/5/16384_init"} {
			f := newFixture(t, validControl())
			f.write(name, nil)
			f.write("base/5/16384_init", nil)
			d := f.open()
			d.RecoveryOnRestore = recovery
			want := ""
			if recovery && !strings.HasSuffix(name, "_init") {
				want = protocol.CodeUndefinedFile
			}
			if _, err := d.Open(t.Context(), name, protocol.OpenOptions{}); code(err) != want {
				t.Errorf("recovery %v, %s: error %v, want %q", recovery, name, err, want)
			}
		}
	}
}

// pg_control is what it was when it was opened, and never half written.
func TestOpen_4_6_Control(t *testing.T) {
	c := validControl()
	f := newFixture(t, c)
	d := f.open()
	file, err := d.Open(t.Context(), controlName, protocol.OpenOptions{})
	f.must(err)
	f.write(controlName, make([]byte, controlfile.Size))
	got, err := io.ReadAll(file)
	f.must(err)
	info, err := file.Stat()
	f.must(err)
	if !bytes.Equal(got, c.Encode()) || info.Size() != controlfile.Size {
		t.Error("pg_control is not what it was")
	}
	if _, err := d.Control(t.Context()); code(err) != protocol.CodeDataCorrupted {
		t.Errorf("zeros: error %v, want XX001", err)
	}
	torn := c.Encode()
	torn[20] ^= 1
	f.write(controlName, torn)
	if _, err := d.Open(t.Context(), controlName, protocol.OpenOptions{}); code(err) != protocol.CodeDataCorrupted {
		t.Errorf("torn for good: error %v, want XX001", err)
	}
	done := make(chan error)
	go func() { // ends with the receive below
		done <- os.WriteFile(f.at(controlName), c.Encode(), 0o600)
	}()
	for err = controlfile.ErrChecksum; err != nil; {
		_, err = d.Control(t.Context())
	}
	f.must(<-done)
	f.must(os.Remove(f.at(controlName)))
	if _, err := d.Control(t.Context()); code(err) != protocol.CodeIOError {
		t.Errorf("no pg_control: error %v, want 58030", err)
	}
}

func TestOpenDir_Errors(t *testing.T) {
	empty := t.TempDir()
	file := empty + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(change func(fixture)) string {
		f := newFixture(t, validControl())
		change(f)
		return f.path
	}
	for _, test := range []struct{ name, path, want string }{
		{"nowhere", empty + "/no", "no such file or directory"},
		{"a file", file, "not a directory"},
		{"empty", empty, "is not a PostgreSQL data directory: no PG_VERSION"},
		{"too old", with(func(f fixture) { f.write("PG_VERSION", []byte("12\n")) }), `of PostgreSQL "12", supported are 13 to 19`},
		{"too new", with(func(f fixture) { f.write("PG_VERSION", []byte("20\n")) }), "supported are 13 to 19"},
		{"strange", with(func(f fixture) { f.write("PG_VERSION", []byte("9.6\n")) }), `"9.6"`},
		{"no pg_control", with(func(f fixture) { f.must(os.Remove(f.at(controlName))) }), "no global/pg_control"},
		{"damaged pg_control", with(func(f fixture) { f.write(controlName, bytes.Repeat([]byte{1}, controlfile.Size)) }), "version 16843009"},
		{"torn pg_control", with(func(f fixture) {
			data := validControl().Encode()
			data[30] ^= 1
			f.write(controlName, data)
		}), "incorrect checksum"},
		{"another version's pg_control", with(func(f fixture) { f.write("PG_VERSION", []byte("17\n")) }), "PG_VERSION says 17"},
	} {
		d, err := OpenDir(test.path, DirOptions{})
		if err == nil {
			t.Errorf("%s: no error", test.name)
			d.Close()
			continue
		}
		if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), test.path) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// A version after 19 is opened for who asks for it. What is in pg_control is believed
// where the checksum says that a known layout is right.
func TestOpenDir_NewestMajor(t *testing.T) {
	for _, test := range []struct {
		name           string
		major, version int
		newest         int
		damage         int // the byte of pg_control that is changed
		want           string
	}{
		{"not asked for", 20, 1905, 0, -1, "supported are 13 to 19; --newest-major=20 tries it"},
		{"too new all the same", 21, 1905, 20, -1, "--newest-major=21 tries it"},
		{"the layout of 19", 20, 1905, 20, -1, ""},
		{"another number for it", 20, 2001, 20, -1, ""},
		{"a beta of 19", 19, 1902, 19, -1, ""},
		{"a beta of 19, not asked for", 19, 1902, 0, -1, "pg_control has version 1902"},
		{"no layout that is known", 20, 2001, 20, 40, "pg_control has version 2001, known are 1300, 1700, 1800 and 1905 (PostgreSQL 13 to 19), and none of their layouts"},
		{"a release asked for", 18, 1801, 20, -1, "pg_control has version 1801"},
	} {
		c := validControl()
		c.Version = 1905
		f := newFixture(t, c)
		f.write("PG_VERSION", fmt.Appendln(nil, test.major))
		data := c.Encode()
		const atVersion, atCRC = 8, 308 // in the layout of 1905
		binary.NativeEndian.PutUint32(data[atVersion:], uint32(test.version))
		binary.NativeEndian.PutUint32(data[atCRC:], crc32.Checksum(data[:atCRC], castagnoli))
		if test.damage >= 0 {
			data[test.damage] ^= 1
		}
		f.write(controlName, data)

		d, err := OpenDir(f.path, DirOptions{NewestMajor: test.newest})
		switch {
		case err != nil && (test.want == "" || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		case err == nil && test.want != "":
			t.Errorf("%s: no error", test.name)
		case err == nil:
			got, err := d.Control(t.Context())
			if got.DataChecksumVersion != 1 || got.WALSegmentSize != c.WALSegmentSize || err != nil || !d.Untested() {
				t.Errorf("%s: %+v, %v; untested: %v", test.name, got, err, d.Untested())
			}
		}
		if d != nil {
			f.must(d.Close())
		}
	}
}

func TestOpenDir_Permission(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	f := newFixture(t, validControl())
	f.must(os.Chmod(f.at("global"), 0))
	t.Cleanup(func() { f.must(os.Chmod(f.at("global"), 0o700)) })
	if _, err := OpenDir(f.path, DirOptions{}); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("error %v", err)
	}
}
