package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// reflinkDisk is an XFS, whose files can share blocks, in a file.
type reflinkDisk struct{ dir, place string }

// newReflinkDisk makes and mounts one of as many bytes. That takes root and mkfs.xfs. The caller
// closes it.
func newReflinkDisk(ctx context.Context, parent string, bytes int64) (*reflinkDisk, error) {
	mkfs, err := exec.LookPath("mkfs.xfs")
	switch {
	case err != nil:
		return nil, err
	case os.Geteuid() != 0:
		return nil, errors.New("only root can mount a file system")
	}
	dir, err := os.MkdirTemp(parent, "pgparallel-bench-")
	if err != nil {
		return nil, err
	}
	d := &reflinkDisk{dir: dir, place: filepath.Join(dir, "mount")}
	if err := d.mount(ctx, mkfs, bytes); err != nil {
		return nil, errors.Join(err, d.close()) // mount may have been killed when it was done
	}
	return d, nil
}

func (d *reflinkDisk) mount(ctx context.Context, mkfs string, bytes int64) error {
	image := filepath.Join(d.dir, "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := errors.Join(os.Truncate(image, bytes), os.Chmod(d.dir, 0o755), os.Mkdir(d.place, 0o755)); err != nil {
		return err
	}
	for _, command := range [][]string{
		{mkfs, "-q", "-m", "reflink=1,crc=1", image},
		{"mount", "-o", "loop", image, d.place},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", command[0], err, tail(string(out), 500))
		}
	}
	return os.Chmod(d.place, 0o1777)
}

// close unmounts the file system and removes it. What was killed a moment ago may still have
// files open there.
func (d *reflinkDisk) close() error {
	const attempts, pause = 50, 100 * time.Millisecond
	for attempt := 1; ; attempt++ {
		err := unix.Unmount(d.place, 0)
		if errors.Is(err, unix.EBUSY) && attempt < attempts {
			time.Sleep(pause)
			continue
		}
		if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: it is not mounted
			return fmt.Errorf("unmounting %s: %w", d.place, err)
		}
		return os.RemoveAll(d.dir)
	}
}
