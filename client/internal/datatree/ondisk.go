package datatree

import (
	"fmt"
	"os"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// syncEarlier makes durable what the earlier backups hold, ahead of the first look at it. Whoever
// wrote it may not have waited for that, or was told of an error: pages that could not be written
// are called clean by the kernel, and the error is told once. So the page cache can have what the
// disk has not. What is clean behind a sync can be dropped from the page cache, and OnDisk does so:
// what is compared is what the disk has, then, and the sync at the end is for the rest.
func (r *Refresh) syncEarlier() error {
	if r.NoSync {
		return nil
	}
	whole := map[uint64]bool{}
	for _, dir := range r.earlierDirectories() {
		if err := dir.sync(r.SyncMethod, whole); err != nil {
			return fmt.Errorf("could not synchronize what is in directory %q to disk, ahead of comparing it: %w", dir.path, output.Cause(err))
		}
	}
	return nil
}

// earlierDirectory is a directory in which there may be earlier files.
type earlierDirectory struct {
	path string
	root *os.Root
}

func (r *Refresh) earlierDirectories() []earlierDirectory {
	var dirs []earlierDirectory
	for _, p := range r.order {
		if p.kept {
			dirs = append(dirs, earlierDirectory{p.path, p.root})
		}
	}
	if r.old != nil {
		dirs = append(dirs, earlierDirectory{r.old.path, r.old.root})
		for _, p := range r.old.parts {
			dirs = append(dirs, earlierDirectory{p.path, p.root})
		}
	}
	return dirs
}

// sync makes durable what is in the directory. The file systems of whole were asked as such.
func (d earlierDirectory) sync(method SyncMethod, whole map[uint64]bool) error {
	f, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	device := deviceOf(info)
	if !whole[device] && method != SyncFsync {
		if whole[device], err = syncFileSystem(f, method == SyncSyncfs); err != nil {
			return err
		}
	}
	if whole[device] {
		return nil
	}
	return syncTree(d.path)
}

// OnDisk lets what is read of an earlier file come from the disk.
func (r *Refresh) OnDisk(path string, e output.Earlier) (size int64, err error) {
	if r.NoSync || r.DryRun {
		return e.Size, nil
	}
	if size, err = dropPages(e.File, e.Size); err != nil {
		return 0, fmt.Errorf("could not drop file %q from the page cache: %w", path, output.Cause(err))
	}
	return size, nil
}
