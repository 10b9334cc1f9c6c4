package client

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

const (
	controlFile     = "global/pg_control"
	controlFileHeld = "global/pg_control.incomplete" // its name until all else is there (§5.6)
	labelFile       = "backup_label"
	manifestFile    = "backup_manifest"
	manifestFileTmp = "backup_manifest.tmp"
)

// plan is what the server has listed, each row of it checked (§5.9).
type plan struct {
	directories []string // in an order in which they can be created
	times       []int64  // when each of them was changed last, in Unix seconds
	links       []uint32 // the tablespaces to link, by OID
	files       files    // global/pg_control excepted
	byPath      []int32  // the order of files by path
	control     file
	bytes       int64 // listed in all
}

// planner makes a plan of rows that it does not trust.
type planner struct {
	plan
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

// newPlanner plans the backup of a cluster by its server_version_num, of which these
// are the tablespaces.
func newPlanner(versionNum int, tablespaces []protocol.Tablespace) *planner {
	p := &planner{linked: map[uint32]bool{}, parents: map[string]bool{"": true}, major: versionNum / 10000, memory: listingMemory()}
	for _, t := range tablespaces {
		if t.OID != 0 {
			p.linked[t.OID] = !t.InPlace()
		}
	}
	return p
}

// add takes a row of the list of a tablespace, or of the data directory, whose OID
// is 0.
func (p *planner) add(tablespace uint32, f protocol.File) error {
	if err := p.checkPlace(tablespace, f); err != nil {
		return err
	}
	if p.memory -= rowMemory + int64(len(f.Path)); p.memory < 0 {
		return fmt.Errorf("server listed more files than there is memory for: %d so far", p.files.len()+len(p.directories))
	}
	parent := ""
	if i := strings.LastIndexByte(f.Path, '/'); i >= 0 {
		parent = f.Path[:i]
	}
	if !p.parents[parent] {
		return fmt.Errorf("server listed %q before the directory that holds it", f.Path)
	}
	if f.Type == protocol.TypeFile {
		return p.addFile(f)
	}
	if p.parents[f.Path] {
		return nil // listed already, as the same: see checkPlace
	}
	p.parents[f.Path] = true
	if f.Type == protocol.TypeDirectory {
		p.directories = append(p.directories, f.Path)
		p.times = append(p.times, f.ModTime.Unix())
	}
	return nil
}

// checkPlace holds a row to where its list may reach.
func (p *planner) checkPlace(tablespace uint32, f protocol.File) error {
	oid, rest, within := splitTablespacePath(f.Path)
	if tablespace != 0 && (!within || oid != tablespace || rest == "") {
		return fmt.Errorf("server listed %q, which is outside of tablespace %d", f.Path, tablespace)
	}
	if tablespace != 0 && !p.isVersioned(rest, f.Type) {
		return fmt.Errorf("server listed %q, which is in no directory of PostgreSQL %d of the tablespace", f.Path, p.major)
	}
	isLink := within && rest == "" && p.linked[oid]
	switch {
	case f.Type == protocol.TypeLink && !isLink:
		return fmt.Errorf("server listed a link %q that is none of a tablespace", f.Path)
	case f.Type != protocol.TypeLink && isLink:
		return fmt.Errorf("server listed %q, which should be the link of a tablespace", f.Path)
	case tablespace == 0 && within && rest != "" && p.linked[oid]:
		return fmt.Errorf("server listed %q, which is outside of the data directory", f.Path)
	}
	if f.Type == protocol.TypeLink && !p.parents[f.Path] {
		p.links = append(p.links, oid)
	}
	return nil
}

// isVersioned reports whether a path within a tablespace is, or is below, a directory
// of the server's major version: of others nothing is PostgreSQL's.
func (p *planner) isVersioned(path string, kind protocol.FileType) bool {
	top, _, below := strings.Cut(path, "/")
	ours := strings.HasPrefix(top, fmt.Sprintf("PG_%d_", p.major)) && versionDirectory.MatchString(top)
	return ours && (below || kind == protocol.TypeDirectory)
}

func (p *planner) addFile(f protocol.File) error {
	entry := file{path: f.Path, size: f.Size, modTime: f.ModTime.Unix()}
	switch f.Path {
	case labelFile, "tablespace_map", manifestFile, manifestFileTmp, controlFileHeld, markerFile:
		return fmt.Errorf("server listed %q, which is no part of a backup", f.Path)
	case controlFile:
		if p.control.path != "" && p.control != entry {
			return listedTwice(f.Path)
		}
		p.control = entry
		return nil
	}
	p.files.add(entry)
	p.bytes += f.Size
	return nil
}

// finish is the plan, when all lists are read.
func (p *planner) finish() (*plan, error) {
	if err := p.dropRepeated(); err != nil {
		return nil, err
	}
	hasVersion := false
	for _, i := range p.byPath {
		path := p.files.at(i).path
		if p.parents[path] {
			return nil, listedTwice(path)
		}
		hasVersion = hasVersion || path == "PG_VERSION"
	}
	if p.parents[controlFile] {
		return nil, listedTwice(controlFile)
	}
	if !hasVersion {
		return nil, notListed("PG_VERSION")
	}
	if p.control.path == "" {
		return nil, notListed(controlFile)
	}
	p.bytes += p.control.size
	return &p.plan, nil
}

// dropRepeated puts the files in the order of their paths, and drops rows that equal
// another: where names come and go, a directory that is being read may give one twice.
func (p *planner) dropRepeated() error {
	p.byPath = p.files.sorted(byPath)
	repeated := map[int32]bool{}
	for k := 1; k < len(p.byPath); k++ {
		before, f := p.files.at(p.byPath[k-1]), p.files.at(p.byPath[k])
		if before.path != f.path {
			continue
		}
		if *before != *f {
			return listedTwice(f.path)
		}
		repeated[p.byPath[k]] = true
	}
	if len(repeated) == 0 {
		return nil
	}
	var once files
	for i := range int32(p.files.len()) {
		if f := p.files.at(i); !repeated[i] {
			once.add(*f)
		} else {
			p.bytes -= f.size
		}
	}
	p.files, p.byPath = once, once.sorted(byPath)
	return nil
}

func listedTwice(path string) error {
	return fmt.Errorf("server listed %q more than once, and not as the same", path)
}

func notListed(path string) error {
	return fmt.Errorf("server did not list %q: this is no data directory", path)
}

// splitTablespacePath reports whether a path is pg_tblspc/OID, or below that, and
// what follows then.
func splitTablespacePath(path string) (oid uint32, rest string, ok bool) {
	path, ok = strings.CutPrefix(path, "pg_tblspc/")
	if !ok {
		return 0, "", false
	}
	number, rest, _ := strings.Cut(path, "/")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != number {
		return 0, "", false
	}
	return uint32(n), rest, true
}
