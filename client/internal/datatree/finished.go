package datatree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// ErrStarted is wrapped in errors about a backup that a server was started from: what is
// there now is somebody's cluster.
var ErrStarted = errors.New("a server was started from it")

// startedFiles are what a server leaves in its data directory, and no backup has.
var startedFiles = []string{"postmaster.pid", "postmaster.opts", "backup_label.old", "tablespace_map.old"}

// finished is a finished backup in a data directory. It is locked: another refresh of it
// finds it taken.
type finished struct {
	path     string
	root     *os.Root
	control  *os.File // locked
	content  []byte   // of control
	manifest *manifest.Manifest
	paths    []string  // of the manifest, sorted; see files
	listed   *contents // what is in the directory
	made     time.Time // when the manifest was written
	parts    []part    // see openParts
}

// openFinished opens the finished backup in a directory, of which no server was started, and
// in which there is nothing that no backup has written.
//
// Where a release was interrupted at its end, it is completed, unless dry says that nothing may change.
func openFinished(path string, dry bool) (*finished, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("could not open directory %q: %w", path, output.Cause(err))
	}
	f := &finished{path: path, root: root}
	if err := f.open(dry); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *finished) open(dry bool) error {
	// Next to the end of a release the manifest is whole and on disk, and lacks its name only.
	name := output.ManifestFile
	if _, err := f.root.Lstat(name); isAbsent(err) {
		name = output.ManifestFileTmp
	}
	if info, err := f.root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%w, and holds no backup: there is no %s", notEmpty(f.path), output.ManifestFile)
	}
	if _, err := f.root.Lstat(output.ControlFile); isAbsent(err) {
		for _, held := range heldFiles[1:] {
			archive := strings.TrimSuffix(held, output.IncompleteSuffix)
			if _, err := f.root.Lstat(archive); err == nil {
				return fmt.Errorf("directory %q holds a backup of archives (%s), which cannot be refreshed", f.path, archive)
			}
		}
		return fmt.Errorf("directory %q holds no backup in plain format: there is no %s", f.path, output.ControlFile)
	}
	var err error
	if f.control, err = lock(f.root, f.path, output.ControlFile); err != nil {
		return err // or a server sends it: see share in walsender/backupdir
	}
	if err := f.readManifest(name); err != nil {
		return err
	}
	if f.made, err = madeAt(f.root, name); err != nil {
		return err
	}
	if f.content, err = f.root.ReadFile(output.ControlFile); err != nil {
		return fmt.Errorf("could not read file %q: %w", filepath.Join(f.path, output.ControlFile), output.Cause(err))
	}
	if err := f.checkNotStarted(); err != nil {
		return err
	}
	c := &leftover{root: f.root, listed: f.contents(""), byManifest: true, finished: true, has: f.files("")}
	if err := c.checkContents(f.path); err != nil {
		return err
	}
	if f.listed, err = namesIn(f.root, f.path); err != nil || dry {
		return err
	}
	// It is void beside pg_control.
	if err := f.root.Remove(output.MarkerFile); err != nil && !isAbsent(err) {
		return fmt.Errorf("could not remove file %q: %w", filepath.Join(f.path, output.MarkerFile), output.Cause(err))
	}
	if name == output.ManifestFile {
		return nil
	}
	if err := f.root.Rename(name, output.ManifestFile); err != nil {
		return fmt.Errorf("could not rename file %q: %w", filepath.Join(f.path, name), output.Cause(err))
	}
	return nil
}

// namesIn is all that there is in a directory.
func namesIn(root *os.Root, path string) (*contents, error) {
	d, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("could not open directory %q: %w", path, output.Cause(err))
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("could not read directory %q: %w", path, output.Cause(err))
	}
	slices.Sort(names)
	return &contents{Names: names}, nil
}

func (f *finished) readManifest(name string) error {
	file, err := f.root.Open(name)
	if err == nil {
		f.manifest, err = manifest.Read(file)
		file.Close()
	}
	if err != nil {
		return fmt.Errorf("could not read file %q: %w", filepath.Join(f.path, name), output.Cause(err))
	}
	return nil
}

// checkNotStarted makes sure that no server was started in the directory: each leaves files,
// takes the label away, and writes pg_control.
func (f *finished) checkNotStarted() error {
	started := func(sign string) error {
		return fmt.Errorf("directory %q is no backup any more: %w (%s)", f.path, ErrStarted, sign)
	}
	if name := f.startedFile(); name != "" {
		return started(fmt.Sprintf("there is %q in it", name))
	}
	content, err := f.root.ReadFile(output.ControlFile)
	if err != nil || !bytes.Equal(content, f.content) {
		return started("pg_control was changed")
	}
	for _, listed := range f.manifest.Files {
		switch listed.Path {
		case output.ControlFile:
			if !f.isControl(content, listed) {
				return started("pg_control is not as the manifest has it")
			}
		case output.LabelFile:
			if _, err := f.root.Lstat(output.LabelFile); isAbsent(err) {
				return started("there is no backup_label any more")
			}
		}
	}
	return nil
}

// startedFile is a file that a server has left; empty: there is none. A source that was restored
// may have such files itself, and so has its backup.
func (f *finished) startedFile() string {
	for _, name := range startedFiles {
		if _, err := f.root.Lstat(name); !isAbsent(err) && !slices.ContainsFunc(f.manifest.Files, func(l manifest.File) bool { return l.Path == name }) {
			return name
		}
	}
	return ""
}

// isControl reports whether pg_control is the one that the manifest lists. The checksum alone does
// not tell: pg_control ends with its own CRC-32C, and so the CRC-32C of each that is valid is the
// same. No checkpoint of a backup is behind its end, and a server that is started makes one.
func (f *finished) isControl(content []byte, listed manifest.File) bool {
	if int64(len(content)) != listed.Size {
		return false
	}
	if sum := listed.Algorithm.New(); sum != nil {
		sum.Write(content)
		if !bytes.Equal(sum.Sum(nil), listed.Checksum) {
			return false
		}
	}
	control, err := controlfile.Decode(content)
	if err != nil || len(f.manifest.WALRanges) == 0 {
		return true // it cannot be told, as of a version that is not known
	}
	var end protocol.LSN
	for _, r := range f.manifest.WALRanges {
		end = max(end, r.End)
	}
	return control.Checkpoint <= end
}

// contents is what the backup has written into the data directory, or with a prefix that ends
// with a slash into a directory below.
func (f *finished) contents(prefix string) *contents {
	c := &contents{Names: []string{output.MarkerFile}}
	if oid, _, ok := output.SplitTablespacePath(strings.TrimSuffix(prefix, "/")); ok {
		c.Tablespace = oid
	}
	seen := map[string]bool{}
	for _, listed := range f.manifest.Files {
		rest, below := strings.CutPrefix(listed.Path, prefix)
		if !below {
			continue
		}
		top, _, _ := strings.Cut(rest, "/")
		if !seen[top] {
			seen[top] = true
			c.Names = append(c.Names, top)
		}
	}
	return c
}

// files reports which files the backup has, below a prefix that is that of contents. Those of WAL are
// in no manifest.
func (f *finished) files(prefix string) func(path string) bool {
	if f.paths == nil {
		for _, listed := range f.manifest.Files {
			f.paths = append(f.paths, listed.Path)
		}
		slices.Sort(f.paths)
	}
	return func(path string) bool {
		path = prefix + path
		if oid, below, ok := output.SplitTablespacePath(path); ok && oid != 0 && below == "" {
			return true // a link
		}
		_, listed := slices.BinarySearch(f.paths, path)
		return listed || strings.HasPrefix(path, output.WALFolder+"/") || strings.HasPrefix(filepath.Base(path), silly)
	}
}

// silly begins the name that NFS gives a removed file as long as somebody has it open.
const silly = ".nfs"

// part is the name of the link in the data directory that leads to a directory: of a tablespace,
// or of WAL. It is empty where none does.
func (f *finished) part(path string) string {
	if to, err := f.root.Readlink(output.WALFolder); err == nil && to == path {
		return output.WALFolder
	}
	for _, link := range f.links() {
		if to, err := f.root.Readlink(link); err == nil && to == path {
			return link
		}
	}
	return ""
}

// links are the links of the tablespaces.
func (f *finished) links() []string {
	d, err := f.root.Open("pg_tblspc")
	if err != nil {
		return nil
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	var links []string
	for _, e := range entries {
		if e.Type()&os.ModeSymlink != 0 {
			links = append(links, "pg_tblspc/"+e.Name())
		}
	}
	return links
}

func (f *finished) close() {
	if f.control != nil {
		f.control.Close()
	}
	f.closeParts()
	f.root.Close()
}

func (f *finished) closeParts() {
	for _, p := range f.parts {
		p.root.Close()
	}
	f.parts = nil
}
