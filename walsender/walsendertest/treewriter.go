package walsendertest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// treeWriter makes files below a directory. It keeps the first error, after
// which it does nothing more.
type treeWriter struct {
	base     string
	dirMode  fs.FileMode
	fileMode fs.FileMode
	chmod    bool // the modes may be more than what the umask leaves of them
	err      error
}

func newTreeWriter(dir string, groupAccess bool) *treeWriter {
	if groupAccess {
		return &treeWriter{base: dir, dirMode: 0o750, fileMode: 0o640, chmod: true}
	}
	return &treeWriter{base: dir, dirMode: 0o700, fileMode: 0o600}
}

func (w *treeWriter) do(step func() error) {
	if w.err == nil {
		w.err = step()
	}
}

// path is where a name in the form of LIST_FILES lies.
func (w *treeWriter) path(name string) string { return w.base + "/" + name }

// root makes the directory itself, or takes an empty one.
func (w *treeWriter) root() {
	w.do(func() error {
		if err := os.Mkdir(w.base, w.dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		entries, err := os.ReadDir(w.base)
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			return fmt.Errorf("directory %s is not empty", w.base)
		}
		return os.Chmod(w.base, w.dirMode)
	})
}

func (w *treeWriter) dir(name string) {
	w.do(func() error {
		if err := os.Mkdir(w.path(name), w.dirMode); err != nil {
			return err
		}
		return os.Chmod(w.path(name), w.dirMode)
	})
}

func (w *treeWriter) file(name string, data []byte) { w.generate(name, literal(data)) }

// generate makes a file, which must not be there yet. The zeros at its end take no
// room on disk.
func (w *treeWriter) generate(name string, c content) {
	w.do(func() error {
		f, err := os.OpenFile(w.path(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, w.fileMode)
		if err != nil {
			return err
		}
		defer f.Close()
		if w.chmod {
			if err := f.Chmod(w.fileMode); err != nil {
				return err
			}
		}
		if err := c.writeTo(f); err != nil {
			return err
		}
		if c.used < c.size {
			if err := f.Truncate(c.size); err != nil {
				return err
			}
		}
		return f.Close()
	})
}

// link makes a symbolic link to a directory, and the directory where it is not there.
func (w *treeWriter) link(name, target string) {
	w.do(func() error {
		if !filepath.IsAbs(target) {
			return fmt.Errorf("location of tablespace %s is not an absolute path: %q", name, target)
		}
		if err := os.MkdirAll(target, w.dirMode); err != nil {
			return err
		}
		return os.Symlink(target, w.path(name))
	})
}

// damage changes one byte in the middle of a page.
func (w *treeWriter) damage(p DamagedPage) {
	w.do(func() error {
		f, err := os.OpenFile(w.path(p.Path), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		at := p.Block*pageSize + pageSize/2
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			return fmt.Errorf("damaging block %d of %s: %w", p.Block, p.Path, err)
		}
		b[0] ^= 0x01
		if _, err := f.WriteAt(b[:], at); err != nil {
			return err
		}
		return f.Close()
	})
}
