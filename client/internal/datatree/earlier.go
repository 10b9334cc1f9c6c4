package datatree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// Earlier opens what there is of a file.
func (r *Refresh) Earlier(path string, size int64) (output.Earlier, bool) {
	var here, old output.Earlier
	var found, foundOld bool
	if r.main != nil && r.main.kept {
		root, rest := r.locate(path)
		here, found = openEarlier(root, rest, true)
	}
	if r.old != nil && (!found || here.Size != size) {
		root, rest := r.old.locate(path)
		old, foundOld = openEarlier(root, rest, false)
	}
	switch {
	case found && foundOld && (old.Size == size || old.Size > here.Size):
		here.Close()
		return old, true
	case found && foundOld:
		old.Close()
	case foundOld:
		return old, true
	}
	return here, found
}

func openEarlier(root *os.Root, name string, here bool) (output.Earlier, bool) {
	if info, err := root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return output.Earlier{}, false
	}
	f, err := root.Open(name)
	if err != nil {
		return output.Earlier{}, false
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		f.Close()
		return output.Earlier{}, false
	}
	return output.Earlier{File: f, Size: info.Size(), Here: here}, true
}

// Keep makes an earlier file the backup's. One of the old backup is shared with it: by its
// blocks, where the file system can do that, else as another name of the same file. Until the
// switch a server that is started from the old backup would write into files that have two
// names; so the switch makes sure that none was, and until then the new backup is none.
func (r *Refresh) Keep(path string, e output.Earlier) error {
	if own, err := r.isOwn(path, e); err != nil {
		return err
	} else if own {
		return r.keepHere(path, e)
	}
	if err := r.makeRoom(path); err != nil {
		return err
	}
	if cloned, err := r.cloneEarlier(path, e); cloned || err != nil {
		return err
	}
	if linked, err := r.linkEarlier(path, e); linked || err != nil {
		return err
	}
	f, err := r.copyEarlier(path, e)
	if err != nil {
		return err
	}
	return closeFile(path, f)
}

// isOwn reports whether a file is here, and is nothing else's: one that another directory has, too,
// such as yesterday's copy of this one (cp -al), or a server, would change with it. That the old
// backup has it is all right: it goes.
func (r *Refresh) isOwn(path string, e output.Earlier) (bool, error) {
	if !e.Here {
		return false, nil
	}
	info, err := e.Stat()
	if err != nil {
		return false, fmt.Errorf("could not stat file %q: %w", path, output.Cause(err))
	}
	names := linksOf(info)
	if names == 2 && r.old != nil {
		root, rest := r.old.locate(path)
		if old, err := root.Lstat(rest); err == nil && os.SameFile(old, info) {
			return true, nil
		}
	}
	return names == 1, nil
}

// linksOf is how many names a file has; 0: it is not known.
func linksOf(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Nlink)
	}
	return 0
}

// keepHere leaves a file where it is, with the mode that it would be created with.
func (r *Refresh) keepHere(path string, e output.Earlier) error {
	if err := setFileMode(e.File, r.fileMode); err != nil {
		return fmt.Errorf("could not change permissions of file %q: %w", path, output.Cause(err))
	}
	return nil
}

// cloneEarlier has a new file share the blocks of the earlier one.
func (r *Refresh) cloneEarlier(path string, e output.Earlier) (cloned bool, err error) {
	if r.noClone.Load() {
		return false, nil
	}
	f, err := r.Create(path)
	if err != nil {
		return false, err
	}
	if err := cloneFile(f, e.File); err != nil {
		// Of most reasons the next file has the same.
		r.noClone.Store(true)
		f.Close()
		return false, r.Remove(path)
	}
	return true, closeFile(path, f)
}

// linkEarlier gives the earlier file another name, where it is what a new one would be, and nothing
// but the old backup has it.
func (r *Refresh) linkEarlier(path string, e output.Earlier) (linked bool, err error) {
	if e.Here {
		return false, nil // it would be no file of its own; see isOwn
	}
	info, err := e.Stat()
	if err != nil {
		return false, fmt.Errorf("could not stat file %q: %w", path, output.Cause(err))
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) != os.Geteuid() || stat.Nlink != 1 || info.Mode().Perm() != r.fileMode {
		return false, nil
	}
	from, old := r.old.locate(path)
	to, rest := r.Tree.locate(path)
	err = os.Link(filepath.Join(from.Name(), old), filepath.Join(to.Name(), rest))
	for _, not := range []error{unix.EPERM, unix.EXDEV, unix.EMLINK, unix.EOPNOTSUPP, unix.ENOSYS} {
		if errors.Is(err, not) {
			return false, nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("could not link file %q: %w", path, output.Cause(err))
	}
	if named, err := to.Lstat(rest); err != nil || !os.SameFile(info, named) {
		return false, fmt.Errorf("file %q was replaced while it was compared", filepath.Join(from.Name(), old))
	}
	return true, nil
}

// copyEarlier creates a file with the content of the earlier one.
func (r *Refresh) copyEarlier(path string, e output.Earlier) (*os.File, error) {
	f, err := r.Create(path)
	if err != nil {
		return nil, err
	}
	if _, err = e.Seek(0, io.SeekStart); err == nil {
		_, err = io.Copy(f, e.File)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("could not copy file %q: %w", path, output.Cause(err))
	}
	return f, nil
}

// Patch makes a file that can be changed. One that is here and has no other name is changed
// where it is.
func (r *Refresh) Patch(path string, e output.Earlier) (*os.File, error) {
	if e.Here {
		info, err := e.Stat()
		if err != nil {
			return nil, fmt.Errorf("could not stat file %q: %w", path, output.Cause(err))
		}
		if linksOf(info) == 1 {
			return r.openHere(path, info)
		}
	}
	if err := r.makeRoom(path); err != nil {
		return nil, err
	}
	if !r.noClone.Load() {
		f, err := r.Create(path)
		if err != nil {
			return nil, err
		}
		if cloneFile(f, e.File) == nil {
			return f, nil
		}
		r.noClone.Store(true)
		f.Close()
		if err := r.Remove(path); err != nil {
			return nil, err
		}
	}
	return r.copyEarlier(path, e)
}

func (r *Refresh) openHere(path string, info fs.FileInfo) (*os.File, error) {
	root, rest := r.locate(path)
	f, err := root.OpenFile(rest, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("could not open file %q: %w", path, output.Cause(err))
	}
	err = setFileMode(f, r.fileMode)
	if opened, statErr := f.Stat(); err == nil && (statErr != nil || !os.SameFile(opened, info)) {
		err = errNotOurs
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("could not open file %q for writing: %w", path, output.Cause(err))
	}
	return f, nil
}

// makeRoom removes what there was of a file here, if there was anything.
func (r *Refresh) makeRoom(path string) error {
	if !r.main.kept {
		return nil
	}
	return r.Drop(path)
}

// Drop removes what there is of a file here.
func (r *Refresh) Drop(path string) error {
	root, rest := r.locate(path)
	if err := root.Remove(rest); err != nil && !isAbsent(err) {
		return fmt.Errorf("could not remove file %q: %w", path, output.Cause(err))
	}
	return nil
}

func closeFile(path string, f *os.File) error {
	if err := f.Close(); err != nil {
		return fmt.Errorf("could not close file %q: %w", path, output.Cause(err))
	}
	return nil
}
