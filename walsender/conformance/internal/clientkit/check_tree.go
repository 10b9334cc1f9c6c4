package clientkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

// tolerance is in what a backup may differ from its cluster.
type tolerance struct {
	missing []string         // paths, with all below them
	short   map[string]int64 // how much of a file must be there
	empty   []string         // files without content that no list of the cluster has
}

func (t tolerance) excuses(path string) bool {
	return slices.ContainsFunc(t.missing, func(m string) bool { return path == m || strings.HasPrefix(path, m+"/") })
}

// whole: the target is the cluster, byte for byte, with the WAL that the backup needs
// and the label that STOP_BACKUP returned, and nothing else.
func whole(t tolerance) check {
	return func(e *evidence) *rule.Finding {
		w := wholeCheck{evidence: e, tolerance: t, expected: map[string]bool{}}
		for _, step := range []func() *rule.Finding{w.files, w.tablespaces, w.wal, w.label, w.released, w.nothingElse} {
			if f := step(); f != nil {
				return f
			}
		}
		return nil
	}
}

type wholeCheck struct {
	*evidence
	tolerance
	expected map[string]bool // the paths that may be there
}

const wholeBackup = "the target holds what the server listed, byte for byte, and nothing else"

// tree is what the cluster lists.
func (e *evidence) tree() ([]protocol.File, error) {
	var rows []protocol.File
	list := []string{""}
	for _, t := range e.cluster.Sample.Tablespaces {
		list = append(list, fmt.Sprint(t.OID))
	}
	for _, tablespace := range list {
		for row, err := range e.cluster.Files(context.Background(), tablespace, func(*protocol.Error) {}) {
			if err != nil {
				return nil, err
			}
			if !strings.HasPrefix(row.Path, "pg_wal/") || row.Type == protocol.TypeDirectory {
				rows = append(rows, row)
			}
		}
	}
	return rows, nil
}

func (w *wholeCheck) files() *rule.Finding {
	rows, err := w.tree()
	if err != nil {
		return rule.Found("the kit lists its own cluster", "%v", err)
	}
	for _, row := range rows {
		w.expected[row.Path] = true
		if f := w.entry(row); f != nil {
			return f
		}
	}
	for _, path := range w.empty {
		w.expected[path] = true
		info, err := os.Lstat(filepath.Join(w.target.Dir, path))
		if err != nil || !info.Mode().IsRegular() || info.Size() != 0 {
			return rule.Found("the target has the empty file "+path, "there is none")
		}
	}
	return nil
}

func (w *wholeCheck) entry(row protocol.File) *rule.Finding {
	place := filepath.Join(w.target.Dir, row.Path)
	info, err := os.Lstat(place)
	if w.excuses(row.Path) && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	switch {
	case err != nil:
		return rule.Found(wholeBackup, "%q is missing", row.Path)
	case row.Type == protocol.TypeDirectory && !info.IsDir(), row.Type == protocol.TypeLink && info.Mode()&fs.ModeSymlink == 0,
		row.Type == protocol.TypeFile && !info.Mode().IsRegular():
		return rule.Found(wholeBackup, "%q is of another type: %v", row.Path, info.Mode())
	case row.Type == protocol.TypeFile:
		return w.content(row.Path)
	}
	return nil
}

// content compares a file with the cluster's.
func (w *wholeCheck) content(path string) *rule.Finding {
	got, err := os.ReadFile(filepath.Join(w.target.Dir, path))
	if err != nil {
		return rule.Found(wholeBackup, "%q cannot be read: %v", path, err)
	}
	want, err := w.original(path)
	if err != nil {
		return rule.Found("the kit reads its own cluster", "%v", err)
	}
	if size, short := w.short[path]; short {
		want = want[:size]
	}
	if !bytes.Equal(got, want) {
		return rule.Found(wholeBackup, "%q has other contents: %d bytes, %d were expected", path, len(got), len(want))
	}
	return nil
}

// original is the content of a file of the cluster.
func (e *evidence) original(path string) ([]byte, error) {
	f, err := e.cluster.Open(context.Background(), path, protocol.OpenOptions{Notice: func(*protocol.Error) {}})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// tablespaces: each is where the mapping says, and the link leads there.
func (w *wholeCheck) tablespaces() *rule.Finding {
	for _, t := range w.cluster.Sample.Tablespaces {
		link := fmt.Sprintf("pg_tblspc/%d", t.OID)
		if t.Location == "" || w.excuses(link) {
			continue
		}
		to, err := os.Readlink(filepath.Join(w.target.Dir, link))
		if err != nil || filepath.Clean(to) != w.target.TablespaceNew {
			return rule.Found("the link of a tablespace leads to its new directory", "%q leads to %q", link, to)
		}
	}
	return nil
}

// needed are the WAL files of the backup.
func (e *evidence) needed() ([]string, error) {
	stop := e.row("STOP_BACKUP")
	if len(stop) < 5 {
		return nil, errors.New("STOP_BACKUP returned no row")
	}
	start, _ := protocol.ParseLSN(stop[0])
	end, _ := protocol.ParseLSN(stop[3])
	var names []string
	for row, err := range e.cluster.WALFiles(context.Background(), start, end) {
		if err != nil {
			return nil, err
		}
		names = append(names, row.Path)
	}
	return names, nil
}

func (w *wholeCheck) wal() *rule.Finding {
	names, err := w.needed()
	if err != nil {
		return rule.Found("a backup that is stopped", "%v", err)
	}
	for _, name := range names {
		if f := w.content(name); f != nil {
			f.Expected = "the target holds the WAL of the backup"
			return f
		}
	}
	return nil
}

func (w *wholeCheck) label() *rule.Finding {
	want := w.row("STOP_BACKUP")[2]
	got, err := os.ReadFile(filepath.Join(w.target.Dir, "backup_label"))
	switch {
	case want == null && err == nil:
		return rule.Found("no backup_label, as STOP_BACKUP returned NULL", "there is one")
	case want != null && err != nil:
		return rule.Found("the backup_label that STOP_BACKUP returned", "there is none")
	case want != null && string(got) != want:
		return rule.Found("the backup_label that STOP_BACKUP returned", "it is another: %s", rule.OneLine(string(got)))
	}
	return nil
}

// released: pg_control has its own name and no other.
func (w *wholeCheck) released() *rule.Finding {
	if _, err := os.Lstat(filepath.Join(w.target.Dir, controlHeld)); err == nil {
		return rule.Found("pg_control has its own name in the end", "there is %q", controlHeld)
	}
	return nil
}

// nothingElse: what is there was listed, or belongs to a backup.
func (w *wholeCheck) nothingElse() *rule.Finding {
	for name := range w.after {
		path, inside := w.path(name)
		switch {
		case !inside:
			if _, before := w.before[name]; !before {
				return rule.Found("the client writes below the target only", "it made %q", name)
			}
		case w.expected[path], path == ".", path == "backup_label", path == "backup_manifest":
		case strings.HasPrefix(path, "pg_wal/"):
			if f := w.inWAL(path); f != nil {
				return f
			}
		default:
			return rule.Found(wholeBackup, "%q was not listed", path)
		}
	}
	return nil
}

// inWAL: what lies in pg_wal is a WAL file of the cluster, or says that one is archived.
func (w *wholeCheck) inWAL(path string) *rule.Finding {
	const expected = "pg_wal holds WAL of the cluster, and nothing else"
	if name, found := strings.CutPrefix(path, "pg_wal/archive_status/"); found {
		segment, done := strings.CutSuffix(name, ".done")
		if _, err := os.Lstat(filepath.Join(w.target.Dir, "pg_wal", segment)); err == nil && done {
			return nil
		}
	}
	want, err := w.original(path)
	got, reading := os.ReadFile(filepath.Join(w.target.Dir, path))
	if err != nil || reading != nil || !bytes.Equal(got, want) {
		return rule.Found(expected, "%q is in it", path)
	}
	return nil
}

// path is a name of a snapshot as a path of the backup.
func (w *wholeCheck) path(name string) (path string, inside bool) {
	place := filepath.Join(filepath.Dir(w.target.TablespaceNew), name)
	if below, ok := strings.CutPrefix(place+"/", w.target.TablespaceNew+"/"); ok {
		return filepath.Join(tablespaceLink, below), true
	}
	below, ok := strings.CutPrefix(place+"/", w.target.Dir+"/")
	return filepath.Clean(below), ok
}
