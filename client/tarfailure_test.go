package client

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// largeMember is more than an archive gathers of small files before it writes them.
const largeMember = 4 << 20

// formats are the ways in which a backup can be written, by name.
func formats() map[string]Options {
	return map[string]Options{
		"plain":      {},
		"tar":        {Archive: &ArchiveOptions{}},
		"compressed": {Archive: &ArchiveOptions{Compression: Compression{Method: CompressionZstd}}},
	}
}

// Whatever fails, in whatever format: nothing is left, of the WAL directory neither.
func TestFormat_5_3_NothingIsLeft(t *testing.T) {
	for name, o := range formats() {
		for _, failing := range []string{
			"START_BACKUP", "JOIN_BACKUP", "LIST_FILES", "SEND_FILE ('base/1/16384')", "SEND_FILE ('global/pg_control')",
			"STOP_BACKUP", "LIST_WAL_FILES", "SEND_FILE ('pg_wal",
		} {
			t.Run(name+" "+failing, func(t *testing.T) {
				f := newFake(t)
				f.failOn(failing, protocol.CodeIOError)
				f.access = protocol.WALStreamed
				o := o
				o.ConnConfig, o.ConnInfo, o.Jobs, o.WAL.Method, o.WriteRecoveryConf = f.config(), connInfo(t, "host=/x"), 3, WALFetch, true
				if o.Archive == nil {
					far := t.TempDir()
					o.WAL.Dir = filepath.Join(far, "parent/wal")
					before := outputtest.Tree(t, far)
					defer outputtest.SameTree(t, before, far)
				}
				expectFailure(t, o, "scripted failure")
			})
		}
	}
}

// Until the manifest is written, nothing has the name of a finished archive.
func TestTar_5_6_Names(t *testing.T) {
	f := newFake(t)
	f.withTablespace("16400", "/nowhere")
	dir := filepath.Join(t.TempDir(), "copy")
	var seen []string
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Jobs: 2, WAL: WALOptions{Method: WALFetch}, Archive: &ArchiveOptions{}, step: func(name string) {
		for _, archive := range []string{"base.tar", "16400.tar"} {
			if _, err := os.Stat(filepath.Join(dir, archive)); err == nil {
				seen = append(seen, name+": "+archive)
			}
		}
	}})
	must(t, err)
	want := []string{"remove marker: 16400.tar", "release control file: 16400.tar", "remove other markers: base.tar", "remove other markers: 16400.tar", "name manifest: base.tar", "name manifest: 16400.tar"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("steps in which archives had their names (-want +got):\n%s", diff)
	}
	if _, err := os.Stat("/nowhere"); err == nil {
		t.Error("the directory of the tablespace was created")
	}
}

// A connection is lost in the middle of a file: the file is there once and whole. The
// one that has vanished since leaves no trace.
func TestTar_5_5_LostConnection(t *testing.T) {
	for name, o := range formats() {
		for _, size := range []int{8192, largeMember + 8192} {
			for _, vanished := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %d bytes, vanished %v", name, size, vanished), func(t *testing.T) {
					f := newFake(t)
					f.frame = 64 << 10
					f.files["base/1/16384"] = strings.Repeat("page", size/4)
					attempts := 0
					f.query = func(s *fakeSession, command string) bool {
						if command != sendFile("base/1/16384") {
							return false
						}
						if attempts++; attempts > 1 && vanished {
							s.fail(protocol.Errorf(protocol.CodeUndefinedFile, "could not open file"))
							return true
						}
						if attempts > 1 {
							return false
						}
						s.sendCopy(f.files["base/1/16384"][:size-100])
						s.conn.Close()
						return true
					}
					dir := filepath.Join(t.TempDir(), "copy")
					o := o
					o.ConnConfig, o.Dir, o.WAL.Method = f.config(), dir, WALFetch
					_, err := Backup(t.Context(), o)
					must(t, err)
					if o.Archive == nil {
						return
					}
					got := outputtest.Archive(t, dir, "base")
					content, there := got["base/1/16384"]
					if there == vanished || !vanished && content != f.files["base/1/16384"] {
						t.Errorf("file is there: %v, with %d bytes", there, len(content))
					}
					if got["PG_VERSION"] != "15\n" || got["global/pg_control"] != f.files["global/pg_control"] {
						t.Error("other files are not as they were")
					}
				})
			}
		}
	}
}

// A file that is not as long as it was listed has that length in the archive, and in
// the manifest; without a label, which is without WAL replay, it is a failure.
func TestTar_5_2_Sizes(t *testing.T) {
	for _, listed := range []int64{8192 - 5, 8192 + 5} {
		for _, label := range []bool{true, false} {
			f := newFake(t)
			f.listed = func(rows []protocol.File) []protocol.File {
				for i := range rows {
					if rows[i].Path == "base/1/16384" {
						rows[i].Size = listed
					}
				}
				return rows
			}
			if !label {
				f.stop.Label = ""
				expectFailure(t, Options{ConnConfig: f.config(), Archive: &ArchiveOptions{}, WAL: WALOptions{Method: WALFetch}}, "there is no recovery that could make up for it")
				continue
			}
			dir := filepath.Join(t.TempDir(), "copy")
			_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Archive: &ArchiveOptions{}, WAL: WALOptions{Method: WALFetch}})
			must(t, err)
			content := outputtest.Members(t, bytes.NewReader([]byte(read(t, dir, "base.tar"))))["base/1/16384"]
			want := (f.files["base/1/16384"] + "\x00\x00\x00\x00\x00")[:listed]
			if content != want {
				t.Errorf("listed with %d bytes: %d bytes in the archive", listed, len(content))
			}
			sum := manifest.ChecksumCRC32C.New()
			sum.Write([]byte(content))
			if line := fmt.Sprintf(`"Path": "base/1/16384", "Size": %d, `, listed); !strings.Contains(read(t, dir, output.ManifestFile), line) {
				t.Errorf("no %s in the manifest", line)
			}
			if sum := fmt.Sprintf("%x", sum.Sum(nil)); !strings.Contains(read(t, dir, output.ManifestFile), sum) {
				t.Errorf("the checksum %s is not in the manifest", sum)
			}
		}
	}
}

// A large file that is on its way to standard output when its connection is lost cannot
// be sent again.
func TestTar_5_5_LostConnectionToOutput(t *testing.T) {
	f := newFake(t)
	f.frame = 64 << 10
	f.files["base/1/16384"] = strings.Repeat("page", largeMember/2)
	f.query = func(s *fakeSession, command string) bool {
		if command != sendFile("base/1/16384") {
			return false
		}
		s.sendCopy(f.files["base/1/16384"][:largeMember])
		s.conn.Close()
		return true
	}
	var out bytes.Buffer
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Archive: &ArchiveOptions{Output: &out}})
	if err == nil || !strings.Contains(err.Error(), "cannot be taken back") || !strings.Contains(err.Error(), "closed the connection") {
		t.Errorf("error is %v", err)
	}
	if asked := f.commandsWith("SEND_FILE ('base/1/16384')"); len(asked) != 1 {
		t.Errorf("it was asked for %d times", len(asked))
	}
}

func TestTar_LongName(t *testing.T) {
	f := newFake(t)
	long := "base/1/" + strings.Repeat("n", 93)
	f.files[long] = "x"
	expectFailure(t, Options{ConnConfig: f.config(), Archive: &ArchiveOptions{}}, `file name too long for tar format: "`+long+`": move it out`)
	_, err := DryRun(t.Context(), Options{ConnConfig: f.config(), Dir: t.TempDir(), Archive: &ArchiveOptions{}})
	if err == nil || !strings.Contains(err.Error(), "file name too long for tar format") {
		t.Errorf("a dry run says %v", err)
	}
	for _, command := range f.commandsWith("SEND_FILE") {
		t.Errorf("%s was asked for before that was found out", command)
	}
}
