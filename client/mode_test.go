package client

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// What the backup has not made keeps its mode, unless PostgreSQL would not start.
func TestMode_5_10_OfWhatExists(t *testing.T) {
	setgid := fs.ModeSetgid
	for _, test := range []struct {
		archive        *ArchiveOptions
		cluster        string
		before, after  fs.FileMode // of the data directory, or that of the archives
		spaces, wanted fs.FileMode // of the tablespace and WAL directories
	}{
		{nil, "0700", 0o755, 0o700, 0o711, 0o711},
		{nil, "0750", 0o755, 0o750, 0o755, 0o755},
		{nil, "0700", 0o750, 0o750, 0o700, 0o700},
		{nil, "0750", 0o700, 0o700, 0o700, 0o700},
		{nil, "0700", 0o770 | setgid, 0o700 | setgid, 0o770 | setgid, 0o770 | setgid},
		{&ArchiveOptions{}, "0700", 0o770 | setgid, 0o770 | setgid, 0, 0},
		{&ArchiveOptions{}, "0700", 0o711, 0o711, 0, 0},
	} {
		f := newFake(t)
		f.mode = test.cluster
		base := t.TempDir()
		o := Options{ConnConfig: f.config(), Dir: filepath.Join(base, "copy"), Archive: test.archive}
		made := map[string][2]fs.FileMode{o.Dir: {test.before, test.after}}
		if test.archive == nil {
			location := filepath.Join(base, "space")
			f.withTablespace("16400", location)
			o.WAL.Dir = filepath.Join(base, "wal")
			made[location], made[o.WAL.Dir] = [2]fs.FileMode{test.spaces, test.wanted}, [2]fs.FileMode{test.spaces, test.wanted}
		}
		for dir, modes := range made {
			must(t, os.Mkdir(dir, 0o700))
			must(t, os.Chmod(dir, modes[0]))
		}
		_, err := Backup(t.Context(), o)
		must(t, err)
		for dir, modes := range made {
			info, err := os.Stat(dir)
			must(t, err)
			if got := info.Mode() &^ fs.ModeDir; got != modes[1] {
				t.Errorf("%+v: %s has mode %v", test, filepath.Base(dir), got)
			}
		}
	}
}
