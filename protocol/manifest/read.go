package manifest

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// Read reads a backup_manifest of version 1 or 2 to the end of r and
// verifies it by its own checksum. It is an error, too, if anything is missing,
// unknown, given twice or out of range, if a path is against [protocol.CheckPath], and if
// anything follows the manifest. The texts of the errors are pg_verifybackup's
// where it has one. As there, no verification depends on the times of files and on the
// ranges of WAL: they may be missing, and times in any form.
func Read(r io.Reader) (*Manifest, error) {
	source := newSource(r)
	p := parser{
		lexer: lexer{in: bufio.NewReaderSize(source, 64<<10)},
		paths: map[string]struct{}{},
	}
	p.manifest()
	p.end()
	if p.err != nil {
		return nil, p.err
	}
	if err := source.verify(p.checksum); err != nil {
		return nil, err
	}
	return &p.m, nil
}

// parser knows the fields of a manifest.
type parser struct {
	lexer
	m        Manifest
	checksum string
	paths    map[string]struct{} // all that were seen
}

func (p *parser) manifest() {
	const (
		version = iota
		systemID
		files
		walRanges
		checksum
	)
	names := []string{"PostgreSQL-Backup-Manifest-Version", "System-Identifier", "Files", "WAL-Ranges", "Manifest-Checksum"}
	given := p.object("top-level", "unrecognized top-level field", names, func(field int) {
		if p.m.Version == 0 && field != version {
			p.fail("expected version indicator")
		}
		switch field {
		case version:
			p.version()
		case systemID:
			p.m.SystemID = p.number("system identifier in manifest not an integer")
		case files:
			p.list('[', ']', p.file)
		case walRanges:
			p.list('[', ']', p.walRange)
		case checksum:
			p.checksum = p.string()
			if p.token() != '}' {
				p.fail("manifest checksum is not the last field")
			}
		}
	})
	switch {
	case !given.has(checksum):
		p.stop(errors.New("manifest has no checksum"))
	case !given.has(files):
		p.fail("missing files")
	case p.m.Version == version2 && !given.has(systemID):
		p.fail("missing system identifier")
	case p.m.Version == version1 && given.has(systemID):
		p.fail("unexpected system identifier")
	}
}

func (p *parser) version() {
	switch n := p.number("manifest version not an integer"); n {
	case version1:
		p.m.Version = version1
	case version2:
		p.m.Version = version2
	default:
		p.fail("unexpected manifest version: %d", n)
	}
}

func (p *parser) file() {
	const (
		path = iota
		encodedPath
		size
		modTime
		algorithm
		checksum
	)
	names := []string{"Path", "Encoded-Path", "Size", "Last-Modified", "Checksum-Algorithm", "Checksum"}
	f := File{Algorithm: ChecksumNone}
	given := p.object("file", "unexpected file field", names, func(field int) {
		switch field {
		case path:
			f.Path = p.string()
		case encodedPath:
			f.Path = string(p.hex(func(text string) error { return fmt.Errorf("could not decode file name: %q", text) }))
		case size:
			f.Size = p.size()
		case modTime:
			f.ModTime = p.time()
		case algorithm:
			f.Algorithm = p.algorithm()
		case checksum:
			f.Checksum = p.hex(func(text string) error {
				return fmt.Errorf("invalid checksum for file %q: %q", protocol.Shorten(f.Path, 256), text)
			})
		}
	})
	switch {
	case given.has(path) && given.has(encodedPath):
		p.fail("both path name and encoded path name")
	case !given.has(path) && !given.has(encodedPath):
		p.fail("missing path name")
	case !given.has(size):
		p.fail("missing size")
	case given.has(checksum) && !given.has(algorithm):
		p.fail("checksum without algorithm")
	}
	p.addFile(f)
}

func (p *parser) addFile(f File) {
	if p.err != nil {
		return
	}
	if err := protocol.CheckPath(f.Path); err != nil {
		p.stop(fmt.Errorf("could not parse backup manifest: %w", err))
	}
	if len(f.Checksum) != f.Algorithm.Size() {
		p.stop(fmt.Errorf("file %q has checksum of length %d, but expected %d",
			protocol.Shorten(f.Path, 256), len(f.Checksum), f.Algorithm.Size()))
	}
	if _, found := p.paths[f.Path]; found {
		p.stop(fmt.Errorf("duplicate path name in backup manifest: %q", protocol.Shorten(f.Path, 256)))
	}
	p.paths[f.Path] = struct{}{}
	p.m.Files = append(p.m.Files, f)
}

func (p *parser) walRange() {
	const (
		timeline = iota
		start
		end
	)
	names := []string{"Timeline", "Start-LSN", "End-LSN"}
	var r WALRange
	given := p.object("WAL range", "unexpected WAL range field", names, func(field int) {
		switch field {
		case timeline:
			n := p.number("timeline is not an integer")
			if n == 0 || n > math.MaxUint32 {
				p.fail("timeline %d is out of range", n)
			}
			r.Timeline = protocol.Timeline(n)
		case start:
			r.Start = p.lsn("could not parse start LSN")
		case end:
			r.End = p.lsn("could not parse end LSN")
		}
	})
	switch {
	case !given.has(timeline):
		p.fail("missing timeline")
	case !given.has(start):
		p.fail("missing start LSN")
	case !given.has(end):
		p.fail("missing end LSN")
	}
	p.m.WALRanges = append(p.m.WALRanges, r)
}

// hex reads a string of hexadecimal digits; complain makes the error for another.
func (p *parser) hex(complain func(text string) error) []byte {
	text := p.text()
	b := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(b, text); err != nil {
		p.stop(complain(protocol.Shorten(string(text), 128)))
	}
	return b
}

func (p *parser) size() int64 {
	n := p.number("file size is not an integer")
	if n > math.MaxInt64 {
		p.fail("file size %d is out of range", n)
	}
	return int64(n)
}

// time is the zero time where the text is none.
func (p *parser) time() time.Time {
	t, err := time.Parse(timeLayout, p.string())
	if err != nil {
		return time.Time{}
	}
	return t
}

func (p *parser) algorithm() ChecksumAlgorithm {
	a, err := ParseChecksumAlgorithm(string(p.text()))
	if err != nil {
		p.stop(err)
	}
	return a
}

func (p *parser) lsn(complaint string) protocol.LSN {
	text := p.string()
	lsn, err := protocol.ParseLSN(text)
	if err != nil {
		p.fail("%s: %q", complaint, protocol.Shorten(text, 64))
	}
	return lsn
}
