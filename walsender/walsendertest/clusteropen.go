package walsendertest

import (
	"context"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/page"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// Open opens a file of a listing; 42501 for a name that a base backup leaves out, 58P01
// for any other, 42809 for a directory.
// Page checksums are verified in the files of relations.
func (c *Cluster) Open(_ context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	if err := c.build(); err != nil {
		return nil, err
	}
	made, ok := c.content(name)
	if !ok {
		if slices.ContainsFunc(c.tree.rows, func(row protocol.File) bool { return row.Path == name }) {
			return nil, protocol.Errorf(protocol.CodeWrongObjectType, `"%s" is a directory`, name)
		}
		if err := datadir.CheckName(name, c.sample.Version, c.sample.control()); err != nil {
			return nil, err
		}
		return nil, gone(name)
	}
	return &memFile{
		name:    name,
		content: made,
		seed:    seedOf(name),
		damaged: c.damaged[name],
		verify:  o.VerifyChecksums && made.relation && !c.sample.NoChecksums,
		notice:  o.Notice,
		cache:   c.cache.open(),
	}, nil
}

// content finds a file. The small ones have no entry.
func (c *Cluster) content(name string) (content, bool) {
	if made, ok := c.tree.files[name]; ok {
		return made, true
	}
	number, found := strings.CutPrefix(name, "base/5/")
	n, err := strconv.Atoi(number)
	i := n - firstSmallFile
	if !found || err != nil || i < 0 || i >= c.sample.SmallFiles {
		return content{}, false
	}
	small, pages := smallFile(i)
	return c.sample.relation(seedOf(small), 0, int64(pages)*pageSize), small == name
}

func gone(name string) error {
	return protocol.Errorf(protocol.CodeUndefinedFile, `could not open file "%s": No such file or directory`, name)
}

// memFile is an open file of a [Cluster]. It is read by one goroutine.
type memFile struct {
	name    string
	content content
	seed    uint64
	damaged []int64
	verify  bool
	notice  protocol.NoticeFunc
	cache   *ristretto.Cache[uint64, cachedPage] // may be nil

	offset   int64
	failures int
	page     [pageSize]byte // for what is not read in whole pages
}

// Read makes the bytes.
func (f *memFile) Read(p []byte) (int, error) {
	if f.offset >= f.content.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), f.content.size-f.offset)]
	for done := 0; done < len(p); {
		done += f.readPage(p[done:])
	}
	return len(p), nil
}

// Seek is what makes a range of a large file begin at once (§8.3).
func (f *memFile) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart || offset < 0 || offset > f.content.size {
		return 0, fs.ErrInvalid
	}
	f.offset = offset
	return offset, nil
}

// readPage reads up to the end of a page. A page that p has room for is made in place.
func (f *memFile) readPage(p []byte) int {
	number, within := f.offset/pageSize, int(f.offset%pageSize)
	page := f.page[:]
	if within == 0 && len(p) >= pageSize {
		page = p[:pageSize]
	}
	f.makePage(page, number)
	n := min(len(p), pageSize-within)
	if &page[0] != &p[0] {
		copy(p[:n], page[within:])
	}
	if f.verify && within == 0 && n == pageSize {
		f.check(page, number)
	}
	f.offset += int64(n)
	return n
}

// makePage fills a whole page, from the cache where it is there. Only the pages of
// relations are worth it.
func (f *memFile) makePage(page []byte, number int64) {
	switch {
	case number*pageSize >= f.content.used:
		clear(page)
	case f.cache == nil || !f.content.relation:
		f.content.page(page, number)
	default:
		key := pageKey(f.seed, number)
		kept, ok := f.cache.Get(key)
		if ok && kept.path == f.name && kept.number == number {
			copy(page, kept.data)
			break
		}
		f.content.page(page, number)
		f.cache.Set(key, cachedPage{f.name, number, slices.Clone(page)}, pageSize)
	}
	if slices.Contains(f.damaged, number) {
		page[pageSize/2] ^= 0x01
	}
}

// check counts a page that is not whole.
func (f *memFile) check(content []byte, number int64) {
	block := f.content.first + uint32(number)
	ok, calculated, stored := page.Verify(content, block)
	if ok {
		return
	}
	if f.failures++; f.failures <= 5 {
		f.notice(protocol.Warningf(`checksum verification failed in file "./%s", block %d: calculated %X but expected %X`,
			f.name, block, calculated, stored))
	}
}

// ChecksumFailures counts the pages found damaged so far.
func (f *memFile) ChecksumFailures() int { return f.failures }

// Close does nothing.
func (f *memFile) Close() error { return nil }

// Stat tells the size.
func (f *memFile) Stat() (fs.FileInfo, error) { return f, nil }

// Name, Size and the others make the file its own fs.FileInfo.
func (f *memFile) Name() string { return path.Base(f.name) }

func (f *memFile) Size() int64 { return f.content.size }

func (f *memFile) Mode() fs.FileMode { return 0o600 }

func (f *memFile) ModTime() time.Time { return sampleTime }

func (f *memFile) IsDir() bool { return false }

func (f *memFile) Sys() any { return nil }
