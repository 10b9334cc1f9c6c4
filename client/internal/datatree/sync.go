package datatree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// SyncMethod says by which calls everything is made durable.
type SyncMethod int

const (
	// SyncAuto asks a file system once, where that is known to be enough, and for each file
	// elsewhere.
	SyncAuto SyncMethod = iota
	// SyncFsync asks for each file and directory (fsync).
	SyncFsync
	// SyncSyncfs asks each file system once (syncfs), which only Linux can.
	SyncSyncfs
)

// fileSystem is a file system that holds directories of the backup.
type fileSystem struct {
	device uint64
	// file is open since before the first file was written: an error of writing
	// back since then is still to be told to it.
	file *os.File
}

// addFileSystem notes the file system of a directory.
func (t *Tree) addFileSystem(p *claimed) error {
	d, err := p.root.Open(".")
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", p.path, output.Cause(err))
	}
	info, err := d.Stat()
	if err != nil {
		d.Close()
		return fmt.Errorf("could not access directory %q: %w", p.path, output.Cause(err))
	}
	p.device = deviceOf(info)
	for _, system := range t.systems {
		if system.device == p.device {
			return d.Close()
		}
	}
	t.systems = append(t.systems, fileSystem{p.device, d})
	return nil
}

func deviceOf(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Dev)
	}
	return 0
}

func (t *Tree) closeFileSystems() {
	for _, system := range t.systems {
		system.file.Close()
	}
	t.systems = nil
}

// syncAll makes all that was written durable: data, names and modes, of the data
// directory, its tablespaces and the parents that were created for them. A file system
// is asked once, where that is enough: for many small files that is an order of
// magnitude faster than a call for each file. It tells of directories whose names the
// file system makes durable when it likes.
func (t *Tree) syncAll() error {
	if t.NoSync {
		return nil
	}
	t.Log.Verbose("syncing data to disk ...")
	whole := map[uint64]bool{}
	for _, system := range t.systems {
		if t.SyncMethod == SyncFsync {
			break
		}
		done, err := syncFileSystem(system.file, t.SyncMethod == SyncSyncfs)
		if err != nil {
			return fmt.Errorf("could not synchronize directory %q to disk: %w", t.main.path, err)
		}
		whole[system.device] = done
	}
	for _, p := range t.order {
		if !whole[p.device] {
			if err := syncTree(p.path); err != nil {
				return fmt.Errorf("could not synchronize directory %q to disk: %w", p.path, err)
			}
		}
		if err := p.syncParents(); err != nil {
			return err
		}
		if p.unsynced != nil {
			t.Log.Warning("%v: its file system does not offer that", p.unsynced)
		}
	}
	return nil
}

// syncParents makes durable that the directory is there, where it was not before.
func (p *claimed) syncParents() error {
	for _, made := range p.made {
		if err := syncDirectory(filepath.Dir(made.path)); err != nil {
			return fmt.Errorf("could not synchronize the parent of directory %q to disk: %w", made.path, output.Cause(err))
		}
	}
	return nil
}

// syncTree makes the tree below a directory durable, file by file. The directory may be
// a link to one; below it no links are followed: each tablespace is a tree of its own.
func syncTree(path string) error {
	return filepath.WalkDir(path+"/.", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return syncDirectory(path)
		case entry.Type().IsRegular():
			return syncFile(path)
		}
		return nil
	})
}

// syncDirectory makes the names of a directory durable, where the file system can.
func syncDirectory(path string) error {
	if err := syncFile(path); err != nil && !cannotSync(err) {
		return err
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// cannotSync reports whether an error says that there is no such thing as
// synchronizing a directory, here or for us, as PostgreSQL's fsync_fname judges. All
// others say that something is not on disk.
func cannotSync(err error) bool {
	for _, not := range []error{syscall.EINVAL, syscall.EBADF, syscall.EACCES, syscall.EISDIR} {
		if errors.Is(err, not) {
			return true
		}
	}
	return false
}
