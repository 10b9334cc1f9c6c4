package client_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// thinDisk is an XFS on a loop device, whose image is sparse, as a volume of a thin pool: writing to
// it can fail though the file system has room.
type thinDisk struct{ pool, image, mounted string }

func newThinDisk(t *testing.T) *thinDisk {
	t.Helper()
	base := t.TempDir()
	d := &thinDisk{pool: filepath.Join(base, "pool"), mounted: filepath.Join(base, "mounted")}
	d.image = filepath.Join(d.pool, "image")
	must(t, os.Mkdir(d.pool, 0o700))
	must(t, os.Mkdir(d.mounted, 0o700))
	if err := syscall.Mount("tmpfs", d.pool, "tmpfs", 0, "size=300m"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(d.pool, 0)) })
	must(t, os.WriteFile(d.image, nil, 0o600))
	must(t, os.Truncate(d.image, 400<<20))
	if out, err := exec.Command("mkfs.xfs", "-q", "-K", d.image).CombinedOutput(); err != nil {
		t.Skipf("mkfs.xfs: %v: %s", err, out)
	}
	d.mount(t)
	t.Cleanup(func() { d.unmount(t) })
	return d
}

func (d *thinDisk) mount(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.mounted).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
}

func (d *thinDisk) unmount(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("umount", d.mounted).CombinedOutput(); err != nil {
		t.Errorf("umount: %v: %s", err, out)
	}
}

// leave leaves so many bytes of room in the pool.
func (d *thinDisk) leave(t *testing.T, bytes uint64) {
	t.Helper()
	var s syscall.Statfs_t
	must(t, syscall.Statfs(d.pool, &s))
	used := (s.Blocks - s.Bfree) * uint64(s.Bsize)
	must(t, syscall.Mount("tmpfs", d.pool, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", used+bytes)))
}

// A backup whose sync fails leaves pages that the kernel calls clean, though the disk has not got
// them. A refresh must not take them for what is there: nobody tells of the error again, and with the
// page cache they are gone.
func TestRefresh_5_6_PagesThatNeverReachedTheDisk_Long(t *testing.T) {
	longtest.Mark(t)
	for name, method := range map[string]client.SyncMethod{"syncfs": client.SyncSyncfs, "fsync": client.SyncFsync} {
		t.Run(name, func(t *testing.T) {
			source := writeSample(t, walsendertest.Sample{})
			grow(t, source, 3000)
			must(t, os.WriteFile(filepath.Join(source, "base/5/90001"), make([]byte, 1<<20), 0o600)) // a hole must not pass for it
			must(t, os.WriteFile(filepath.Join(source, "base/5/90002"), []byte(strings.Repeat("of one page", 700)), 0o600))
			d := newThinDisk(t)
			dir := filepath.Join(d.mounted, "copy")
			o := client.Options{ConnConfig: serve(t, source, &walsender.Server{}), Dir: dir, SyncMethod: method, NoClean: true, NoVerifyChecksums: true}
			d.leave(t, 2<<20)
			if _, err := client.Backup(t.Context(), o); err == nil || !strings.Contains(err.Error(), "could not synchronize") {
				t.Fatalf("error is %v, want one of synchronizing", err)
			}
			d.leave(t, 100<<20)
			o.Refresh = true
			var err error
			for range 5 { // an error may still be to be told
				if _, err = client.Backup(t.Context(), o); err == nil {
					break
				}
				t.Log(err)
			}
			must(t, err)
			d.unmount(t)
			d.mount(t)
			checkRefreshed(t, o)
		})
	}
}

// A directory that is mounted on itself has the device of its parent, and cannot be renamed.
func TestRefresh_MountPoint(t *testing.T) {
	source := writeSample(t, walsendertest.Sample{})
	dir, _ := copyOf(t)
	o := client.Options{ConnConfig: serve(t, source, &walsender.Server{}), Dir: dir, NoSync: true, NoVerifyChecksums: true}
	_, err := client.Backup(t.Context(), o)
	must(t, err)
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	o.Refresh = true
	o.OnStep(func(step string) {
		if !o.InPlace && step == "start backup" {
			t.Error("it has gone as far as to start a backup")
		}
	})
	if _, err := client.Backup(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is a mount point of its own, and can only be refreshed in place") {
		t.Errorf("error is %v", err)
	}
	o.InPlace = true
	_, err = client.Backup(t.Context(), o)
	must(t, err)
}
