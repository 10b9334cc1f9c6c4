package datatree

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

const specialBits = fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// setMode gives a new file or directory the mode that the umask has kept from it. What
// the file system has added to it, as the group of its parent, stays.
func setMode(root *os.Root, name string, mode fs.FileMode) error {
	info, err := root.Lstat(name)
	if err != nil || info.Mode().Perm() == mode {
		return err
	}
	return root.Chmod(name, mode|info.Mode()&specialBits)
}

// setFileMode is setMode for a file that is open. Where nothing is to be changed, it
// changes nothing: some file systems refuse every change.
func setFileMode(f *os.File, mode fs.FileMode) error {
	info, err := f.Stat()
	if err != nil || info.Mode().Perm() == mode {
		return err
	}
	return f.Chmod(mode)
}

// serveMode gives the data directory a mode with which PostgreSQL starts (checkDataDir
// of its miscinit.c). One that was there keeps its own where it is such a mode, and where
// it cannot be changed; then PostgreSQL's wish is told.
func (p *claimed) serveMode(mode fs.FileMode, log output.Log) error {
	info, err := p.root.Stat(".")
	if err != nil {
		return fmt.Errorf("could not access directory %q: %w", p.path, output.Cause(err))
	}
	perm := info.Mode().Perm()
	was := len(p.made) == 0
	if perm == mode || was && (perm == 0o700 || perm == 0o750) {
		return nil
	}
	err = p.root.Chmod(".", mode|info.Mode()&specialBits)
	switch {
	case err == nil && was:
		p.changed, p.mode = true, perm|info.Mode()&specialBits
	case err == nil:
	case was:
		log.Warning("directory %q keeps its mode %04o: %v; PostgreSQL will start from it with 0700 or 0750 only", p.path, perm, output.Cause(err))
	default:
		return fmt.Errorf("could not change permissions of directory %q: %w", p.path, output.Cause(err))
	}
	return nil
}
