package datatree

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// contents is what a backup writes into a directory, as its marker says: force removes
// nothing else. A marker has none before the files are listed.
type contents struct {
	Tablespace uint32   `json:"tablespace,omitempty"` // its OID; 0: not that of a tablespace
	Names      []string `json:"names"`                // in the directory, without those below
}

// contentsLine begins the line of a marker that has the contents as JSON.
const contentsLine = "contents: "

var (
	// dataNames are what PostgreSQL and a backup have in a data directory, or in a directory of
	// archives, whatever the server has listed.
	dataNames = regexp.MustCompile(`^(PG_VERSION|base|global|pg_(commit_ts|dynshmem|logical|multixact|notify|replslot|serial|snapshots|stat|stat_tmp|subtrans|tblspc|twophase|wal|xact)` +
		`|postgresql(\.auto)?\.conf|pg_(hba|ident)\.conf|log|pg_log|current_logfiles|postmaster\.opts` +
		`|(backup_label|tablespace_map)(\.old)?|(standby|recovery)\.signal|backup_manifest(\.tmp)?` +
		`|pgparallel\.incomplete(\.new)?|(base|pg_wal|[0-9]+)\.tar(\.gz|\.lz4|\.zst)?(\.incomplete)?)$`)
	// walNames are what there is in a directory of WAL.
	walNames = regexp.MustCompile(`^([0-9A-F]{24}(\.partial|\.[0-9A-F]{8}\.backup)?|[0-9A-F]{8}\.history(\.partial)?|archive_status|summaries|pgparallel\.incomplete(\.new)?)$`)
	// versionFile matches where PG_VERSION belongs.
	versionFile = regexp.MustCompile(`^(base/[0-9]+/|PG_[0-9]+_[0-9]+/[0-9]+/|pg_tblspc/[0-9]+/PG_[0-9]+_[0-9]+/[0-9]+/)?PG_VERSION$`)
)

// writeContents lets each marker say what the backup writes, ahead of all that was listed.
func (t *Tree) writeContents(l *output.Listing) error {
	names := map[*claimed]map[string]bool{}
	for _, p := range t.order {
		names[p] = map[string]bool{}
	}
	add := func(file string) {
		p, rest := t.main, file
		if oid, below, ok := output.SplitTablespacePath(file); ok && below != "" && t.spaces[oid] != nil {
			p, rest = t.spaces[oid], below
		} else if below, ok := strings.CutPrefix(file, output.WALFolder+"/"); ok && t.wal != nil {
			p, rest = t.wal, below
		}
		top, _, _ := strings.Cut(rest, "/")
		names[p][top] = true
	}
	for _, dir := range l.Directories {
		add(dir)
	}
	for i := range int32(l.Files.Len()) {
		add(l.Files.At(i).Path)
	}
	for p, has := range names {
		c := contents{Names: make([]string, 0, len(has))}
		for name := range has {
			c.Names = append(c.Names, name)
		}
		slices.Sort(c.Names)
		for oid, space := range t.spaces {
			if space == p {
				c.Tablespace = oid
			}
		}
		if err := p.writeContents(c, !t.NoSync); err != nil {
			return err
		}
	}
	return nil
}

func (p *claimed) writeContents(c contents, sync bool) error {
	line, err := c.line()
	if err != nil {
		return err
	}
	p.listed = &c
	f, err := p.root.OpenFile(output.MarkerFile, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return markerNotWritten(p.path, err)
	}
	defer f.Close()
	if _, err = f.WriteString(line); err == nil && sync {
		if err = f.Sync(); cannotSync(err) {
			err = nil
		}
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return markerNotWritten(p.path, err)
	}
	return nil
}

// line is the line of a marker.
func (c *contents) line() (string, error) {
	text, err := json.Marshal(c)
	return contentsLine + string(text) + "\n", err
}

// cutContents takes the contents off the text of a marker; nil: the backup was killed before
// they were written to their end, or an earlier version took it. Where a backup goes on with what
// another has left, each of the two has a line, and the directory holds what both have written.
func cutContents(text string) (string, *contents) {
	before, rest, found := strings.Cut(text, "\n"+contentsLine)
	if !found {
		return text, nil
	}
	var all *contents
	for line := range strings.Lines(contentsLine + rest) {
		var c contents
		line, whole := strings.CutSuffix(strings.TrimPrefix(line, contentsLine), "\n")
		if err := json.Unmarshal([]byte(line), &c); err != nil || !whole {
			break
		}
		if all == nil {
			all = &contents{}
		}
		all.Tablespace = cmp.Or(c.Tablespace, all.Tablespace)
		all.Names = append(all.Names, c.Names...)
	}
	return before + "\n", all
}

// hasWritten reports whether the backup can have written a name into its directory. part says
// that the directory is that of a tablespace or of WAL.
func (c *contents) hasWritten(name string, part bool) bool {
	switch {
	case c != nil && slices.Contains(c.Names, name):
		return true
	case !part:
		return dataNames.MatchString(name)
	case c == nil && output.VersionDirectory.MatchString(name):
		return true
	case c != nil && c.Tablespace != 0:
		return name == output.MarkerFile || name == output.MarkerFile+".new"
	}
	return walNames.MatchString(name)
}

// checkContents makes sure that all that a directory holds is what its backup can have
// written, and that no cluster and no other file system lies below.
func (c *leftover) checkContents(dir string) error {
	foreign := func(name, what string) error {
		return fmt.Errorf("directory %q is not empty, and only what a backup has written is ever removed: %q %s", dir, filepath.Join(dir, name), what)
	}
	top, err := c.root.Stat(".")
	if err != nil {
		return fmt.Errorf("could not access directory %q: %w", dir, output.Cause(err))
	}
	version := ""
	return fs.WalkDir(c.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if isAbsent(err) || name == "." && err == nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("could not read directory %q: %w", filepath.Join(dir, name), output.Cause(err))
		}
		// No manifest has the directories of a backup that are empty.
		if known, _, _ := strings.Cut(name, "/"); !c.listed.hasWritten(known, c.part) && !(c.byManifest && e.IsDir()) {
			return foreign(name, "is none of that")
		}
		if !strings.Contains(name, "/") {
			if c.part && output.VersionDirectory.MatchString(name) {
				if version != "" {
					return foreign(name, "is of another version than "+version)
				}
				version = name
			}
		}
		switch base := path.Base(name); {
		case name == output.ControlFile && c.finished:
		case base == "postmaster.pid", base == "pg_control" && path.Base(path.Dir(name)) == "global":
			return foreign(name, "belongs to a cluster")
		case base == "PG_VERSION" && (c.part && name == base || !versionFile.MatchString(name)):
			return foreign(name, "belongs to a cluster")
		}
		if !e.IsDir() {
			if c.has != nil && strings.Contains(name, "/") && !c.has(name) {
				return foreign(name, "is not in its manifest")
			}
			return nil
		}
		info, err := e.Info()
		if isAbsent(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("could not access directory %q: %w", filepath.Join(dir, name), output.Cause(err))
		}
		if deviceOf(info) != deviceOf(top) {
			return foreign(name, "is a mount point")
		}
		return nil
	})
}

// checkSources makes sure that no leftover is to be removed from the location of a
// tablespace of the source. Only what a backup of the same tablespace has left may be there,
// on another machine than the server's.
func (t *Tree) checkSources(spaces []output.Tablespace) error {
	targets := []output.Tablespace{{Location: t.Dir}}
	if t.WALDir != "" {
		targets = append(targets, output.Tablespace{Location: t.WALDir})
	}
	for _, target := range append(targets, spaces...) {
		c, err := lockLeftover(target.Location, nil)
		if err != nil {
			if isAbsent(err) || errors.Is(err, ErrNotEmpty) {
				continue // there is nothing to remove, or nothing that force removes
			}
			return err
		}
		var of uint32
		if c.listed != nil {
			of = c.listed.Tablespace
		}
		c.close()
		for _, space := range spaces {
			if space.OID == target.OID && (of == 0 || of == space.OID) {
				continue
			}
			overlaps, err := Overlap(target.Location, space.Source)
			if err != nil {
				return err
			}
			if overlaps {
				return fmt.Errorf("directory %q has the marker of an unfinished backup, but %q is the location of tablespace %d of the server: remove what is not the tablespace's by hand, or use another directory",
					target.Location, space.Source, space.OID)
			}
		}
	}
	return nil
}
