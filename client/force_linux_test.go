package client

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Force enters no other file system.
func TestMarker_5_6_ForceRefusesMount(t *testing.T) {
	f := newFake(t)
	base := t.TempDir()
	dir := filepath.Join(base, "copy")
	unfinished(t, dir)
	mount := filepath.Join(dir, "base", "mount")
	must(t, os.Mkdir(mount, 0o700))
	err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=1m")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skip("only root can mount")
	}
	must(t, err)
	defer func() { must(t, syscall.Unmount(mount, 0)) }()
	makeFiles(t, filepath.Join(mount, "mine"))
	checkRefuses(t, base, Options{ConnConfig: f.config(), Dir: dir}, `copy/base/mount" is a mount point`)
}
