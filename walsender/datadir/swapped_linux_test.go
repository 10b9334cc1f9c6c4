package datadir

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
)

// outside is what lies outside of the data directory, and must not leave.
const outside = "of another"

// sent is the content of a file that is sent, and whether it is opened at all. It fails the
// test where that takes long: nothing may wait for a writer or a device.
func sent(t *testing.T, d *Dir, name string) (content []byte, opened bool) {
	t.Helper()
	waits := time.AfterFunc(10*time.Second, func() { panic(name + " is waited for") })
	defer waits.Stop()
	file, err := d.Open(t.Context(), name, protocol.OpenOptions{})
	if err != nil {
		if code(err) == "" {
			t.Errorf("%s: %v has no SQLSTATE", name, err)
		}
		return nil, false
	}
	defer file.Close()
	content, err = io.ReadAll(file)
	if err != nil && code(err) == "" {
		t.Errorf("%s: %v has no SQLSTATE", name, err)
	}
	return content, true
}

// TestOpen_4_6_Swapped puts something else in the place of a file, or of a directory on the
// way to it, after it was listed.
func TestOpen_4_6_Swapped(t *testing.T) {
	const name = "base/5/16384"
	const spaced = "pg_tblspc/16401/PG_15_202209061/5/16600"
	for what, plant := range map[string]func(f fixture, location, elsewhere string) (asked string, err error){
		"a link for the file": func(f fixture, _, elsewhere string) (string, error) {
			return name, os.Symlink(elsewhere+"/5/16384", f.at(name))
		},
		"a link within the data directory": func(f fixture, _, _ string) (string, error) {
			return name, os.Symlink("16385", f.at(name))
		},
		"a directory": func(f fixture, _, _ string) (string, error) { return name, os.Mkdir(f.at(name), 0o700) },
		"a FIFO":      func(f fixture, _, _ string) (string, error) { return name, unix.Mkfifo(f.at(name), 0o600) },
		"a device": func(f fixture, _, _ string) (string, error) {
			return name, unix.Mknod(f.at(name), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) // /dev/zero
		},
		"a terminal": func(f fixture, _, _ string) (string, error) {
			return name, unix.Mknod(f.at(name), unix.S_IFCHR|0o600, int(unix.Mkdev(5, 0))) // /dev/tty
		},
		"a link for the database": func(f fixture, _, elsewhere string) (string, error) {
			must(t, os.RemoveAll(f.at("base/5")))
			return name, os.Symlink(elsewhere+"/5", f.at("base/5"))
		},
		"a link for all databases": func(f fixture, _, elsewhere string) (string, error) {
			must(t, os.RemoveAll(f.at("base")))
			return name, os.Symlink(elsewhere, f.at("base"))
		},
		"a link in a tablespace": func(_ fixture, location, elsewhere string) (string, error) {
			must(t, os.Remove(location+"/PG_15_202209061/5/16600"))
			return spaced, os.Symlink(elsewhere+"/5/16384", location+"/PG_15_202209061/5/16600")
		},
		"a link for a tablespace's directory": func(_ fixture, location, elsewhere string) (string, error) {
			must(t, os.RemoveAll(location+"/PG_15_202209061"))
			return spaced, os.Symlink(elsewhere, location+"/PG_15_202209061")
		},
		"a tablespace that is a FIFO": func(f fixture, _, _ string) (string, error) {
			must(t, os.Remove(f.at("pg_tblspc/16401")))
			return spaced, unix.Mkfifo(f.at("pg_tblspc/16401"), 0o600)
		},
		"a tablespace that is a file": func(f fixture, _, elsewhere string) (string, error) {
			must(t, os.Remove(f.at("pg_tblspc/16401")))
			return spaced, os.Symlink(elsewhere+"/5/16384", f.at("pg_tblspc/16401"))
		},
		"a tablespace that leads in a circle": func(f fixture, _, _ string) (string, error) {
			must(t, os.Remove(f.at("pg_tblspc/16401")))
			return spaced, os.Symlink("16401", f.at("pg_tblspc/16401"))
		},
		"a tablespace that leads to the root": func(f fixture, _, _ string) (string, error) {
			must(t, os.Remove(f.at("pg_tblspc/16401")))
			return "pg_tblspc/16401/etc/passwd", os.Symlink("/", f.at("pg_tblspc/16401"))
		},
		"WAL that is a link": func(f fixture, _, elsewhere string) (string, error) {
			const segment = "pg_wal/000000010000000000000001"
			must(t, os.Remove(f.at(segment)))
			return segment, os.Symlink(elsewhere+"/5/16384", f.at(segment))
		},
		"a control file that is a link": func(f fixture, _, elsewhere string) (string, error) {
			must(t, os.Remove(f.at(controlName)))
			return controlName, os.Symlink(elsewhere+"/5/16384", f.at(controlName))
		},
		"a control file that is a FIFO": func(f fixture, _, _ string) (string, error) {
			must(t, os.Remove(f.at(controlName)))
			return controlName, unix.Mkfifo(f.at(controlName), 0o600)
		},
	} {
		t.Run(what, func(t *testing.T) {
			f, location := tree(t, validControl())
			elsewhere := foreignDirectory(t)
			d := f.open()
			listing(t, d, "")
			if _, err := os.Lstat(f.at(name)); err == nil {
				must(t, os.Remove(f.at(name)))
			}
			asked, err := plant(f, location, elsewhere)
			if err != nil {
				t.Skipf("cannot be planted here: %v", err)
			}
			if content, opened := sent(t, d, asked); opened {
				t.Errorf("%s is sent: %q", asked, content)
			}
			for range d.Files(t.Context(), "", func(*protocol.Error) {}) { // must come to its end
			}
		})
	}
}

// foreignDirectory looks as a database's does, and is not in the cluster.
func foreignDirectory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/5", 0o700))
	must(t, os.WriteFile(dir+"/5/16384", []byte(outside), 0o600))
	must(t, os.WriteFile(dir+"/5/16600", []byte(outside), 0o600))
	return dir
}

// TestOpen_4_6_SwappedMeanwhile exchanges a file and the directory that holds it with links
// again and again while files are opened: what is sent is never that of the link.
func TestOpen_4_6_SwappedMeanwhile(t *testing.T) {
	const name, tries = "base/5/16384", 3000
	for what, swapped := range map[string]string{"the file": name, "the directory": "base/5"} {
		t.Run(what, func(t *testing.T) {
			f, _ := tree(t, validControl())
			elsewhere := foreignDirectory(t)
			link := filepath.Join(t.TempDir(), "link")
			target := elsewhere + "/5"
			if swapped == name {
				target += "/16384"
			}
			must(t, os.Symlink(target, link))
			d := f.open()
			stop := make(chan struct{})
			var swapping sync.WaitGroup
			swapping.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := unix.Renameat2(unix.AT_FDCWD, link, unix.AT_FDCWD, f.at(swapped), unix.RENAME_EXCHANGE); err != nil {
						t.Error(err)
						return
					}
				}
			})
			opened, refused := 0, 0
			for range tries {
				content, ok := sent(t, d, name)
				if !ok {
					refused++
					continue
				}
				if opened++; bytes.Contains(content, []byte(outside)) {
					t.Fatalf("a file outside is sent: %q", content)
				}
			}
			close(stop)
			swapping.Wait()
			t.Logf("opened %d times, refused %d times", opened, refused)
		})
	}
}

// TestTablespaces_4_6_LinkChanged leads a tablespace elsewhere while a backup runs. Only what
// looks as a tablespace of this version is sent, whatever the directory holds besides.
func TestTablespaces_4_6_LinkChanged(t *testing.T) {
	f, _ := tree(t, validControl())
	d := f.open()
	listing(t, d, "16401")
	must(t, os.Remove(f.at("pg_tblspc/16401")))
	must(t, os.Symlink("/etc", f.at("pg_tblspc/16401")))
	for _, name := range []string{
		"pg_tblspc/16401/passwd", "pg_tblspc/16401/PG_15_202209061/5/16600", "pg_tblspc/16401/PG_15_202209061/../passwd", "pg_tblspc/16401",
	} {
		if content, opened := sent(t, d, name); opened {
			t.Errorf("%s is sent: %q", name, content)
		}
	}
	for file, err := range d.Files(t.Context(), "16401", func(*protocol.Error) {}) {
		if err == nil {
			t.Errorf("%s is listed", file.Path)
		}
	}
}

// TestOpen_4_6_RealFoldingFileSystem opens files by names in other letters on a file system
// that takes them.
func TestOpen_4_6_RealFoldingFileSystem(t *testing.T) {
	mounted := foldingFileSystem(t)
	f := newFixture(t, validControl())
	f.write("base/5/16384_fsm", []byte("x"))
	f.write("base/5/PG_VERSION", []byte("15\n"))
	moved := filepath.Join(mounted, "data")
	must(t, os.Mkdir(moved, 0o700))
	must(t, os.CopyFS(moved, os.DirFS(f.path)))
	f.path = moved
	if _, err := os.Stat(f.at("pg_version")); err != nil {
		t.Skip("the file system does not fold case after all")
	}
	d := f.open()
	if !d.foldsCase {
		t.Error("it is not seen that the file system folds case")
	}
	for name, want := range map[string]bool{
		"base/5/16384_fsm": true, "PG_VERSION": true, controlName: true,
		"base/5/16384_FSM": false, "BASE/5/16384_fsm": false, "pg_version": false, "Global/pg_control": false, "base/5/pg_version": false,
	} {
		if _, opened := sent(t, d, name); opened != want {
			t.Errorf("%s is sent: %v, want %v", name, opened, want)
		}
	}
}

// foldingFileSystem mounts one, if the system can.
func foldingFileSystem(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	for _, command := range [][]string{
		{"mkfs.vfat", "-C", "IMAGE", "65536"},
		{"mkfs.xfs", "-q", "-n", "version=ci", "-d", "file,name=IMAGE,size=512m"},
	} {
		image, mounted := filepath.Join(t.TempDir(), "image"), t.TempDir()
		for i := range command {
			command[i] = strings.ReplaceAll(command[i], "IMAGE", image)
		}
		if exec.Command(command[0], command[1:]...).Run() != nil || exec.Command("mount", "-o", "loop", image, mounted).Run() != nil {
			continue
		}
		t.Cleanup(func() { must(t, exec.Command("umount", mounted).Run()) })
		return mounted
	}
	t.Skip("no file system that folds case can be mounted here")
	return ""
}
