package datatree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// locate finds the directory of the backup that holds a path, and the path within it.
func (t *Tree) locate(path string) (root *os.Root, rest string) {
	if oid, rest, within := output.SplitTablespacePath(path); within && rest != "" {
		if p := t.spaces[oid]; p != nil {
			return p.root, rest
		}
	}
	if rest, within := strings.CutPrefix(path, output.WALFolder+"/"); within && t.wal != nil {
		return t.wal.root, rest
	}
	return t.main.root, path
}

// makeDirectory creates a directory in one that exists. Its mode does not depend on the umask.
func (t *Tree) makeDirectory(path string) error {
	if path == output.WALFolder && t.wal != nil {
		return t.linkWAL()
	}
	root, rest := t.locate(path)
	err := root.Mkdir(rest, t.dirMode)
	if err == nil {
		err = setMode(root, rest, t.dirMode)
	}
	if err != nil {
		return fmt.Errorf("could not create directory %q: %w", path, output.Cause(err))
	}
	return nil
}

// EnsureDirectory is makeDirectory where the directory does not exist yet. One that an earlier
// backup has left gets the mode of a new one.
func (t *Tree) EnsureDirectory(path string) error {
	root, rest := t.locate(path)
	if info, err := root.Lstat(rest); err == nil && (info.IsDir() || path == output.WALFolder && t.wal != nil) {
		if !info.IsDir() || !t.main.kept {
			return nil
		}
		if err := setMode(root, rest, t.dirMode); err != nil {
			return fmt.Errorf("could not change permissions of directory %q: %w", path, output.Cause(err))
		}
		return nil
	}
	return t.makeDirectory(path)
}

// link creates the link of a tablespace.
func (t *Tree) link(oid uint32) error {
	name := "pg_tblspc/" + strconv.FormatUint(uint64(oid), 10)
	if err := t.main.root.Symlink(t.spaces[oid].path, name); err != nil {
		return fmt.Errorf("could not create symbolic link %q: %w", name, output.Cause(err))
	}
	return nil
}

// linkWAL creates the link pg_wal.
func (t *Tree) linkWAL() error {
	if err := t.main.root.Symlink(t.wal.path, output.WALFolder); err != nil {
		return fmt.Errorf("could not create symbolic link %q: %w", output.WALFolder, output.Cause(err))
	}
	return nil
}

// Create creates a file, which must not exist.
func (t *Tree) Create(path string) (*os.File, error) {
	root, rest := t.locate(path)
	f, err := root.OpenFile(rest, os.O_RDWR|os.O_CREATE|os.O_EXCL, t.fileMode)
	if err != nil {
		return nil, fmt.Errorf("could not create file %q: %w", path, output.Cause(err))
	}
	if err := setFileMode(f, t.fileMode); err != nil {
		f.Close()
		return nil, fmt.Errorf("could not change permissions of file %q: %w", path, output.Cause(err))
	}
	return f, nil
}

// write creates a small file with its content.
func (t *Tree) write(path string, content []byte) error {
	f, err := t.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("could not write file %q: %w", path, output.Cause(err))
	}
	return nil
}

// append adds lines to a file, or creates it.
func (t *Tree) append(path string, lines []byte) error {
	root, rest := t.locate(path)
	before, err := root.ReadFile(rest)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("could not read file %q: %w", path, output.Cause(err))
	}
	content := output.OnNewLine(before, lines)
	f, err := root.OpenFile(rest, os.O_WRONLY|os.O_CREATE|os.O_APPEND, t.fileMode)
	if err != nil {
		return fmt.Errorf("could not open file %q: %w", path, output.Cause(err))
	}
	defer f.Close()
	if err := setFileMode(f, t.fileMode); err != nil {
		return fmt.Errorf("could not change permissions of file %q: %w", path, output.Cause(err))
	}
	if _, err := f.Write(content); err != nil {
		return fmt.Errorf("could not write to file %q: %w", path, output.Cause(err))
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("could not close file %q: %w", path, output.Cause(err))
	}
	return nil
}

// read is the content of a file.
func (t *Tree) read(path string) ([]byte, error) {
	root, rest := t.locate(path)
	content, err := root.ReadFile(rest)
	if err != nil {
		return nil, fmt.Errorf("could not read file %q: %w", path, output.Cause(err))
	}
	return content, nil
}

// Remove removes a file.
func (t *Tree) Remove(path string) error {
	root, rest := t.locate(path)
	if err := root.Remove(rest); err != nil {
		return fmt.Errorf("could not remove file %q: %w", path, output.Cause(err))
	}
	return nil
}

// CreateUnnamed creates a file in the data directory that has no name, and is gone when it is
// closed. It has the given name for a moment, so no other file may have it.
func (t *Tree) CreateUnnamed(name string) (*os.File, error) {
	file, err := t.main.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, t.fileMode)
	if err != nil {
		return nil, fmt.Errorf("could not create file %q: %w", name, output.Cause(err))
	}
	if err := t.Remove(name); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// syncFile makes a file's content durable.
func (t *Tree) syncFile(path string) error {
	root, rest := t.locate(path)
	f, err := root.Open(rest)
	if err == nil {
		err = f.Sync()
		f.Close()
	}
	if err != nil {
		return fmt.Errorf("could not synchronize file %q: %w", path, output.Cause(err))
	}
	return nil
}

// Rename renames a file within its directory. With sync the new name is on disk when Rename
// returns.
func (t *Tree) Rename(from, to string, sync bool) error {
	root, rest := t.locate(from)
	_, newRest := t.locate(to)
	if err := root.Rename(rest, newRest); err != nil {
		return fmt.Errorf("could not rename file %q to %q: %w", from, to, output.Cause(err))
	}
	if !sync {
		return nil
	}
	return t.main.syncDirectory(filepath.Dir(to))
}
