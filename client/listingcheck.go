package client

import (
	"fmt"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

// listingChecker makes a listing of rows that it does not trust.
type listingChecker struct {
	output.Listing
	linked map[uint32]bool // whether the tablespace has a link, of all that exist
	major  int             // of the server's version
	memory int64           // that may still be taken
	// what may hold something: directories and links, by path
	parents map[string]bool
}

// defaultListingMemory is how much memory the lists of a server may take where nothing
// tells how much there is.
const defaultListingMemory = 8 << 30

// rowMemory is what a row takes besides its path.
const rowMemory = 160

// newListingChecker is for a cluster with this server_version_num and these tablespaces.
func newListingChecker(versionNum int, tablespaces []protocol.Tablespace) *listingChecker {
	c := &listingChecker{linked: map[uint32]bool{}, parents: map[string]bool{"": true}, major: versionNum / 10000, memory: listingMemory()}
	for _, t := range tablespaces {
		if t.OID != 0 {
			c.linked[t.OID] = !t.InPlace()
		}
	}
	return c
}

// add takes a row of the list of a tablespace, or of the data directory, whose OID
// is 0.
func (c *listingChecker) add(tablespace uint32, f protocol.File) error {
	if err := c.checkPlace(tablespace, f); err != nil {
		return err
	}
	if c.memory -= rowMemory + int64(len(f.Path)); c.memory < 0 {
		return fmt.Errorf("server listed more files than there is memory for: %d so far", c.Files.Len()+len(c.Directories))
	}
	parent := ""
	if i := strings.LastIndexByte(f.Path, '/'); i >= 0 {
		parent = f.Path[:i]
	}
	if !c.parents[parent] {
		return fmt.Errorf("server listed %q before the directory that holds it", f.Path)
	}
	if f.Type == protocol.TypeFile {
		return c.addFile(f)
	}
	if c.parents[f.Path] {
		return nil // listed already, as the same: see checkPlace
	}
	c.parents[f.Path] = true
	if f.Type == protocol.TypeDirectory {
		c.Directories = append(c.Directories, f.Path)
		c.Times = append(c.Times, f.ModTime.Unix())
	}
	return nil
}

// checkPlace holds a row to where its list may reach.
func (c *listingChecker) checkPlace(tablespace uint32, f protocol.File) error {
	oid, rest, within := output.SplitTablespacePath(f.Path)
	if tablespace != 0 && (!within || oid != tablespace || rest == "") {
		return fmt.Errorf("server listed %q, which is outside of tablespace %d", f.Path, tablespace)
	}
	if tablespace != 0 && !c.isVersioned(rest, f.Type) {
		return fmt.Errorf("server listed %q, which is in no directory of PostgreSQL %d of the tablespace", f.Path, c.major)
	}
	linked, known := c.linked[oid]
	isLink := within && rest == "" && linked
	switch {
	case f.Type == protocol.TypeLink && within && rest == "" && !known:
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "tablespace %d was created during the backup: the server listed its link, and not the tablespace", oid).
			WithHint("Take another backup.")
	case f.Type == protocol.TypeLink && !isLink:
		return fmt.Errorf("server listed a link %q that is none of a tablespace", f.Path)
	case f.Type != protocol.TypeLink && isLink:
		return fmt.Errorf("server listed %q, which should be the link of a tablespace", f.Path)
	case tablespace == 0 && within && rest != "" && c.linked[oid]:
		return fmt.Errorf("server listed %q, which is outside of the data directory", f.Path)
	}
	if f.Type == protocol.TypeLink && !c.parents[f.Path] {
		c.Links = append(c.Links, oid)
	}
	return nil
}

// isVersioned reports whether a path within a tablespace is, or is below, a directory
// of the server's major version: of others nothing is PostgreSQL's.
func (c *listingChecker) isVersioned(path string, kind protocol.FileType) bool {
	top, _, below := strings.Cut(path, "/")
	ours := strings.HasPrefix(top, fmt.Sprintf("PG_%d_", c.major)) && output.VersionDirectory.MatchString(top)
	return ours && (below || kind == protocol.TypeDirectory)
}

func (c *listingChecker) addFile(f protocol.File) error {
	entry := output.File{Path: f.Path, Size: f.Size, ModTime: f.ModTime.Unix()}
	switch f.Path {
	case output.LabelFile, output.TablespaceMapFile, output.ManifestFile, output.ManifestFileTmp, output.ControlFileHeld, output.MarkerFile:
		return fmt.Errorf("server listed %q, which is no part of a backup", f.Path)
	case output.ControlFile:
		if c.Control.Path != "" && c.Control != entry {
			return listedTwice(f.Path)
		}
		c.Control = entry
		return nil
	}
	c.Files.Add(entry)
	c.Bytes += f.Size
	return nil
}

// finish is the listing, when all rows have been added.
func (c *listingChecker) finish() (*output.Listing, error) {
	if err := c.dropRepeated(); err != nil {
		return nil, err
	}
	hasVersion := false
	for _, i := range c.ByPath {
		path := c.Files.At(i).Path
		if c.parents[path] {
			return nil, listedTwice(path)
		}
		hasVersion = hasVersion || path == "PG_VERSION"
	}
	if c.parents[output.ControlFile] {
		return nil, listedTwice(output.ControlFile)
	}
	if !hasVersion {
		return nil, notListed("PG_VERSION")
	}
	if c.Control.Path == "" {
		return nil, notListed(output.ControlFile)
	}
	c.Bytes += c.Control.Size
	return &c.Listing, nil
}

// dropRepeated puts the files in the order of their paths, and drops rows that equal
// another: where names come and go, a directory that is being read may give one twice.
func (c *listingChecker) dropRepeated() error {
	c.ByPath = c.Files.Sorted(output.ByPath)
	repeated := map[int32]bool{}
	for k := 1; k < len(c.ByPath); k++ {
		before, f := c.Files.At(c.ByPath[k-1]), c.Files.At(c.ByPath[k])
		if before.Path != f.Path {
			continue
		}
		if *before != *f {
			return listedTwice(f.Path)
		}
		repeated[c.ByPath[k]] = true
	}
	if len(repeated) == 0 {
		return nil
	}
	var once output.Files
	for i := range int32(c.Files.Len()) {
		if f := c.Files.At(i); !repeated[i] {
			once.Add(*f)
		} else {
			c.Bytes -= f.Size
		}
	}
	c.Files, c.ByPath = once, once.Sorted(output.ByPath)
	return nil
}

func listedTwice(path string) error {
	return fmt.Errorf("server listed %q more than once, and not as the same", path)
}

func notListed(path string) error {
	return fmt.Errorf("server did not list %q: this is no data directory", path)
}
