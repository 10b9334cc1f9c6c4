package client

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Of a standby, standby.signal and settings for another primary come with the rest; of a
// primary there may be neither.
func TestWriteRecoveryConf(t *testing.T) {
	const old = "primary_conninfo = 'host=elsewhere'\n"
	for _, ofStandby := range []bool{false, true} {
		for _, format := range []Format{FormatPlain, FormatTar} {
			f := newFake(t)
			want := ""
			if ofStandby {
				want = old
				f.files[autoConfFile], f.files[standbySignalFile] = old, ""
			}
			dir := filepath.Join(t.TempDir(), "copy")
			config := f.config()
			_, err := Backup(t.Context(), Options{ConnConfig: config, Dir: dir, Format: format, WAL: WALFetch, WriteRecoveryConf: true})
			must(t, err)
			found := func(name string) string { return read(t, dir, name) }
			if format == FormatTar {
				archive := read(t, dir, "base.tar")
				if n := countMembers(t, archive, standbySignalFile) + countMembers(t, archive, autoConfFile); n != 2 {
					t.Errorf("the two files are there %d times", n)
				}
				found = func(name string) string { return members(t, strings.NewReader(archive))[name] }
			}
			want += recoverySettings(primaryConnInfo(config, ""), "")
			if got := found(autoConfFile); got != want {
				t.Errorf("postgresql.auto.conf is %q, want %q", got, want)
			}
			if got := found(standbySignalFile); got != "" {
				t.Errorf("standby.signal is %q", got)
			}
			if format == FormatTar {
				continue
			}
			if info, err := os.Stat(filepath.Join(dir, autoConfFile)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("postgresql.auto.conf: %v, %v", info, err)
			}
		}
	}
}

// countMembers is how often a name is in an archive.
func countMembers(t *testing.T, archive, name string) int {
	t.Helper()
	n := 0
	for r := tar.NewReader(strings.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return n
		}
		must(t, err)
		if h.Name == name {
			n++
		}
	}
}
