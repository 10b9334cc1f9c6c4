package datatree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// markerText is for the data directory, and for the directory of archives.
const markerText = `pgparallel has begun to write a base backup here, and has not finished it.
Either it is still at work, or it was killed. What is here is not a backup, and no
server can be started from it. "pgparallel backup --refresh" goes on with it (not
with archives), "pgparallel backup --force" removes it and takes the backup anew.
`

// systemLine follows markerText: by it the cluster of a backup is known that has no pg_control yet.
const systemLine = "system identifier: %d\n"

// earlierMarkerText is what earlier versions wrote: it is known as well.
const earlierMarkerText = `pgparallel has begun to write a base backup here, and has not finished it.
Either it is still at work, or it was killed. What is here is not a backup, and no
server can be started from it. "pgparallel backup --force" removes it and takes the
backup anew.
`

// otherMarkerText is for the directories of tablespaces and of WAL. It names the data
// directory, and its inode, by which a data directory that was moved is known.
const otherMarkerText = `pgparallel has begun to write a part of a base backup here. As long as the
data directory of the backup has the file ` + output.MarkerFile + ` or ` + output.ControlFileHeld + `,
the backup is not finished: "pgparallel backup --refresh" goes on with it, and
"pgparallel backup --force" removes it. Otherwise a server may use what is here,
and only this file may be removed.
data directory: %q, inode %d
`

// formerMarker is what a marker is called that is no marker any more, or not yet.
const formerMarker = output.MarkerFile + ".new"

// heldFiles are the files whose renaming makes a directory a backup that can be used. Their
// last names lack the suffix. Behind the first are archives.
var heldFiles = []string{
	output.ControlFileHeld,
	"base.tar" + output.IncompleteSuffix, "base.tar.gz" + output.IncompleteSuffix,
	"base.tar.lz4" + output.IncompleteSuffix, "base.tar.zst" + output.IncompleteSuffix,
}

// ErrUnfinished is wrapped in errors about a directory that holds what a killed backup has
// left. [Config].Force removes it.
var ErrUnfinished = errors.New("unfinished backup")

// ErrNotEmpty is wrapped in errors about a directory that holds what no backup has left.
var ErrNotEmpty = errors.New("exists but is not empty")

func beingWritten(path string) error {
	return fmt.Errorf("directory %q is being written by another backup, or copied from", path)
}

func notEmpty(path string) error {
	return fmt.Errorf("directory %q %w", path, ErrNotEmpty)
}

// evidence is the file that says that a directory holds an unfinished backup: the marker
// or, when the marker is gone already, a file that is held. Where a server could run on what
// is there, evidence is an error.
func evidence(root *os.Root, path string) (string, error) {
	found := ""
	for _, name := range append([]string{output.MarkerFile}, heldFiles...) {
		info, err := root.Lstat(name)
		switch {
		case isAbsent(err):
		case err != nil:
			return "", fmt.Errorf("could not access file %q: %w", filepath.Join(path, name), output.Cause(err))
		case info.Mode().IsRegular() && found == "":
			found = name
		}
	}
	if found == "" {
		return "", notEmpty(path)
	}
	usable := []string{"postmaster.pid"}
	for _, held := range heldFiles {
		usable = append(usable, strings.TrimSuffix(held, output.IncompleteSuffix))
	}
	for _, name := range usable {
		if _, err := root.Lstat(name); !isAbsent(err) {
			return "", fmt.Errorf("directory %q is not empty, and no unfinished backup: there is %q in it", path, name)
		}
	}
	return found, nil
}

func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// lock locks a file of a directory for as long as the file that it returns is open. It
// fails where somebody else has the lock, or has put another file in the place.
func lock(root *os.Root, path, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDWR, 0)
	if isAbsent(err) {
		return nil, beingWritten(path) // it was there a moment ago
	}
	if err != nil {
		return nil, fmt.Errorf("could not open file %q: %w", filepath.Join(path, name), output.Cause(err))
	}
	switch err := flock(f); {
	case errors.Is(err, unix.EWOULDBLOCK):
		f.Close()
		return nil, beingWritten(path)
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("could not lock file %q: %w", filepath.Join(path, name), err)
	}
	if !isNamed(f, root, name) {
		f.Close()
		return nil, beingWritten(path)
	}
	return f, nil
}

func flock(f *os.File) error {
	connection, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	err = connection.Control(func(fd uintptr) { locked = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) })
	return errors.Join(err, locked)
}

// isNamed reports whether a file has the name still.
func isNamed(f *os.File, root *os.Root, name string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := root.Lstat(name)
	return err == nil && os.SameFile(opened, named)
}

// leftover is an unfinished backup that is locked: nobody else can lock it, or finish the
// backup, until it is closed.
type leftover struct {
	root  *os.Root
	file  *os.File  // what says that it is unfinished, locked
	owner *leftover // that of the data directory; nil: this is it, or it is ours

	part       bool      // the directory of a tablespace or of WAL
	finished   bool      // it is a finished backup, with pg_control
	systemID   uint64    // of the cluster, as the marker says; 0: it does not
	listed     *contents // what the backup has written; nil: neither the marker says it nor a manifest
	byManifest bool      // the manifest says it

	// has reports whether a finished backup has a file; nil: that is not known.
	has func(path string) bool
}

// lockLeftover locks the unfinished backup in a directory. Where main is not nil, it is the
// data directory of this backup, claimed already.
func lockLeftover(path string, main *claimed) (*leftover, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("could not open directory %q: %w", path, output.Cause(err))
	}
	c := &leftover{root: root}
	if err := c.take(path, main); err != nil {
		c.close()
		return nil, err
	}
	c.readManifest()
	return c, nil
}

// readManifest learns from the manifest what the backup has written, where the marker does not
// say it: a refresh in place was killed when it had just begun, or a backup near its end. Where that has
// no manifest, its former marker says it.
func (c *leftover) readManifest() {
	if c.listed != nil || c.part {
		return
	}
	if former, err := c.root.Open(formerMarker); err == nil {
		says, err := readMarker(former)
		former.Close()
		if err == nil && says.dir == "" {
			c.listed, c.systemID = says.listed, says.systemID
		}
		if c.listed != nil {
			return
		}
	}
	for _, name := range []string{output.ManifestFile, output.ManifestFileTmp} {
		f := &finished{root: c.root}
		if info, err := c.root.Lstat(name); err != nil || !info.Mode().IsRegular() || f.readManifest(name) != nil {
			continue
		}
		c.listed, c.byManifest = f.contents(""), true
		return
	}
}

func (c *leftover) take(path string, main *claimed) error {
	name, err := evidence(c.root, path)
	if err != nil {
		return err
	}
	if c.file, err = lock(c.root, path, name); err != nil {
		return err
	}
	// Once more: only now can nobody finish the backup any more.
	if _, err = evidence(c.root, path); err != nil || name != output.MarkerFile {
		return err
	}
	says, err := readMarker(c.file)
	if err != nil {
		// Killed when it wrote the marker. A held file is as good as one.
		if info, heldErr := c.root.Lstat(output.ControlFileHeld); heldErr == nil && info.Mode().IsRegular() {
			return nil
		}
		return c.checkAlone(path)
	}
	c.listed, c.systemID = says.listed, says.systemID
	if says.dir == "" {
		return nil
	}
	c.part = true
	if main != nil && main.adopted && main.inode() == says.inode {
		return nil
	}
	if c.owner, err = lockOwner(says.dir, says.inode); err != nil {
		return fmt.Errorf("directory %q holds a part of a backup of which nothing says that it is unfinished: %w", path, err)
	}
	return nil
}

// lockOwner locks the data directory that the marker of another directory names, if
// it is where it was.
func lockOwner(dir string, inode uint64) (*leftover, error) {
	info, err := os.Stat(dir)
	if err == nil && inodeOf(info) != inode {
		err = errors.New("it is another directory")
	}
	if err != nil {
		return nil, fmt.Errorf("could not find its data directory %q: %w", dir, output.Cause(err))
	}
	return lockLeftover(dir, nil)
}

// checkAlone makes sure that a marker which was never written to its end is all that
// the directory holds.
func (c *leftover) checkAlone(path string) error {
	d, err := c.root.Open(".")
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", path, output.Cause(err))
	}
	defer d.Close()
	if names, err := d.Readdirnames(2); err != nil || len(names) > 1 {
		return notEmpty(path)
	}
	return nil
}

func (c *leftover) close() {
	if c.owner != nil {
		c.owner.close()
	}
	if c.file != nil {
		c.file.Close()
	}
	c.root.Close()
}

// markerContent is what a marker says.
type markerContent struct {
	dir      string // the data directory, for the marker of another directory; else empty
	inode    uint64 // of that
	systemID uint64 // of the cluster; 0: it does not say, as those of earlier versions
	listed   *contents
}

// readMarker reads a marker. An error says that it is neither that of a data directory nor of
// another.
func readMarker(marker *os.File) (says markerContent, err error) {
	all, err := io.ReadAll(io.LimitReader(marker, 16<<20))
	if err != nil {
		return says, err
	}
	text, listed := cutContents(string(all))
	says.listed = listed
	if rest, own := strings.CutPrefix(text, markerText); own {
		if line, _, whole := strings.Cut(rest, "\n"); whole { // else it was not written to its end
			_, _ = fmt.Sscanf(line+"\n", systemLine, &says.systemID)
		}
		return says, nil
	}
	if strings.HasPrefix(text, earlierMarkerText) {
		return says, nil
	}
	_, line, _ := strings.Cut(text, "\ndata directory: ")
	_, err = fmt.Sscanf(line, "%q, inode %d\n", &says.dir, &says.inode)
	return says, err
}

// checkUnfinished is the error for a directory that is not empty. It wraps [ErrUnfinished]
// where force may remove what the directory holds.
func checkUnfinished(path string, main *claimed) error {
	c, err := lockLeftover(path, main)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.checkContents(path); err != nil {
		return err
	}
	return fmt.Errorf("directory %q holds an %w", path, ErrUnfinished)
}

// IsUnfinished reports whether a directory holds what a backup has left that was killed,
// and nothing that a server could run on.
func IsUnfinished(path string) bool { return errors.Is(checkVacant(path, nil), ErrUnfinished) }

func inodeOf(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino)
	}
	return 0
}

// createMarker creates a marker under a name that is not there yet, and locks it. On an
// error there is none, unless it is another's.
func createMarker(root *os.Root, path, name, text string, sync bool) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, beingWritten(path)
	}
	if err != nil {
		return nil, markerNotWritten(path, err)
	}
	// Where there are no locks, as on some network file systems, there is none.
	if err := flock(f); errors.Is(err, unix.EWOULDBLOCK) || !isNamed(f, root, name) {
		f.Close()
		return nil, beingWritten(path)
	}
	_, err = f.WriteString(text)
	if err == nil && sync {
		if err = f.Sync(); cannotSync(err) {
			err = nil
		}
	}
	if err != nil {
		f.Close()
		_ = root.Remove(name) // that it was not written is what there is to tell
		return nil, markerNotWritten(path, err)
	}
	return f, nil
}

func markerNotWritten(path string, err error) error {
	return fmt.Errorf("could not write file %q: %w", filepath.Join(path, output.MarkerFile), output.Cause(err))
}
