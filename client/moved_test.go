package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

// movedSteps are those in which the user moves something: while the files are copied, and
// as late as in the release.
var movedSteps = []string{"copy files", "sync", "release control file", "name manifest"}

// moved is a place with the directories of a backup: base/copy, or base/link/copy, with the
// tablespace base/space and, in plain format, the WAL directory base/wal.
type moved struct {
	what   string
	dir    string // of the backup, below base
	plain  bool   // archives have no such directory
	change func(t *testing.T, base string)
	named  string // the directory of the message, below base
}

var movedCases = []moved{
	{"renamed", "copy", false, func(t *testing.T, base string) {
		must(t, os.Rename(base+"/copy", base+"/old"))
	}, "copy"},
	{"replaced", "copy", false, func(t *testing.T, base string) {
		must(t, os.Rename(base+"/copy", base+"/old"))
		must(t, os.Mkdir(base+"/copy", 0o700))
		must(t, os.WriteFile(base+"/copy/precious", nil, 0o600))
	}, "copy"},
	{"replaced by a link", "copy", false, func(t *testing.T, base string) {
		must(t, os.Rename(base+"/copy", base+"/old"))
		must(t, os.Symlink("precious", base+"/copy"))
	}, "copy"},
	{"parent renamed", "parent/copy", false, func(t *testing.T, base string) {
		must(t, os.Rename(base+"/parent", base+"/old"))
	}, "parent/copy"},
	{"parent's link turned", "link/copy", false, func(t *testing.T, base string) {
		must(t, os.Remove(base+"/link"))
		must(t, os.Symlink("precious", base+"/link"))
	}, "link/copy"},
	{"tablespace renamed", "copy", true, func(t *testing.T, base string) {
		must(t, os.Rename(base+"/space", base+"/old"))
	}, "space"},
	{"WAL directory renamed", "copy", true, func(t *testing.T, base string) {
		must(t, os.Rename(base+"/wal", base+"/old"))
	}, "wal"},
	{"link of the tablespace turned", "copy", true, func(t *testing.T, base string) {
		must(t, os.Remove(base+"/copy/pg_tblspc/16400"))
		must(t, os.Symlink("/nowhere", base+"/copy/pg_tblspc/16400"))
	}, "copy/pg_tblspc/16400"},
	{"link of the WAL directory turned", "copy", true, func(t *testing.T, base string) {
		must(t, os.Remove(base+"/copy/pg_wal"))
		must(t, os.Symlink("/nowhere", base+"/copy/pg_wal"))
	}, "copy/pg_wal"},
}

// take takes a backup in whose course, at a step, the case happens.
func (m moved) take(ctx context.Context, t *testing.T, base string, archive *ArchiveOptions, at string, then func()) (said []string, err error) {
	t.Helper()
	must(t, os.MkdirAll(base+"/first/precious", 0o700))
	must(t, os.MkdirAll(base+"/precious/copy", 0o700))
	must(t, os.Symlink("first", base+"/link"))
	f := newFake(t)
	f.withTablespace("16400", base+"/space")
	o := Options{ConnConfig: f.config(), Dir: filepath.Join(base, m.dir), Archive: archive, Log: func(e Event) { said = append(said, e.Message) }, step: func(step string) {
		if step == at {
			m.change(t, base)
			then()
		}
		if step == "remove other markers" && at != "name manifest" {
			t.Error("pg_control got its name")
		}
	}}
	if archive == nil {
		o.WAL.Dir = base + "/wal"
	}
	_, err = Backup(ctx, o)
	return said, err
}

// A copy is judged where the user will look for it: one that is not there has failed, and what
// is there instead stays.
func TestRelease_5_6_Moved(t *testing.T) {
	for format, archive := range map[string]*ArchiveOptions{"plain": nil, "tar": {}} {
		for _, m := range movedCases {
			if m.plain && archive != nil {
				continue
			}
			for _, step := range movedSteps {
				t.Run(format+"/"+m.what+"/"+step, func(t *testing.T) {
					base := t.TempDir()
					said, err := m.take(t.Context(), t, base, archive, step, func() {})
					want := fmt.Sprintf("directory %q was moved or replaced during the backup", filepath.Join(base, m.named))
					if err == nil || err.Error() != want {
						t.Errorf("error is %v, want %s", err, want)
					}
					checkForeignKept(t, base, m)
					if m.named == m.dir && !slices.ContainsFunc(said, func(text string) bool {
						return strings.Contains(text, "it was moved or replaced during the backup")
					}) {
						t.Errorf("nothing tells of the directory that stays: %q", said)
					}
				})
			}
		}
	}
}

// What is removed after a signal is the backup's as well, and not what has its path by then.
func TestBackup_5_3_MovedThenCanceled(t *testing.T) {
	for _, m := range movedCases {
		t.Run(m.what, func(t *testing.T) {
			base := t.TempDir()
			ctx, cancel := context.WithCancelCause(t.Context())
			_, err := m.take(ctx, t, base, nil, "copy files", func() { cancel(errors.New("received signal")) })
			if err == nil || err.Error() != "backup was canceled: received signal" {
				t.Errorf("error is %v", err)
			}
			checkForeignKept(t, base, m)
		})
	}
}

// checkForeignKept makes sure that the files of the backup are gone, and that all others are
// there.
func checkForeignKept(t *testing.T, base string, m moved) {
	t.Helper()
	kept := outputtest.Tree(t, base)
	for path, mode := range kept {
		if mode[0] == '-' && path != "copy/precious" {
			t.Errorf("%q was left behind", path)
		}
	}
	expected := []string{"first/precious", "precious/copy", "link"}
	switch m.what {
	case "replaced":
		expected = append(expected, "copy/precious")
	case "replaced by a link":
		expected = append(expected, "copy")
	}
	for _, path := range expected {
		if _, err := os.Lstat(filepath.Join(base, path)); errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q, which is not the backup's, was removed", path)
		}
	}
	if _, err := os.Lstat(filepath.Join(base, "old", output.MarkerFile)); err == nil {
		t.Error("the marker was left behind")
	}
}
