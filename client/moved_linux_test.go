package client

import (
	"os"
	"syscall"
	"testing"
)

// A target that is unmounted while files are written to it goes on taking them.
func TestRelease_5_6_Unmounted(t *testing.T) {
	base := t.TempDir()
	must(t, os.Mkdir(base+"/mnt", 0o700))
	if err := syscall.Mount("tmpfs", base+"/mnt", "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("could not mount a file system: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(base+"/mnt", syscall.MNT_DETACH) }) // where the test has not come to it
	m := moved{dir: "mnt/copy", change: func(t *testing.T, base string) { must(t, syscall.Unmount(base+"/mnt", syscall.MNT_DETACH)) }}
	_, err := m.take(t.Context(), t, base, nil, "copy files", func() {})
	want := `directory "` + base + `/mnt/copy" was moved or replaced during the backup`
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}
