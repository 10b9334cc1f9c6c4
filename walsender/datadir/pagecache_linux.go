package datadir

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cacheTrace is what a file had in the page cache when it was opened, so that reading it
// leaves there what was there, and nothing else: a backup reads everything once, and would
// push out what the database works with.
type cacheTrace struct {
	fd      int
	absent  []span // what was not in the cache, ascending
	dropped int64  // what lies before was dropped
}

// span is a part of a file, in whole pages of the system.
type span struct{ from, to int64 }

// traceWindow is how much of a file is looked at in one call, and dropStep how much is read
// before it is dropped.
const (
	traceWindow = 1 << 30
	dropStep    = 4 << 20
)

// traceCache notes what of the file is in the page cache. Where that cannot be told all
// counts as cached: the kernel tells nobody but those who own the file or may write to it.
func traceCache(fd int, size int64) *cacheTrace {
	c := &cacheTrace{fd: fd}
	pageSize := int64(os.Getpagesize())
	for offset := int64(0); offset < size; offset += traceWindow {
		pages, err := residentPages(fd, offset, min(traceWindow, size-offset), pageSize)
		if err != nil {
			return &cacheTrace{fd: fd}
		}
		for i, page := range pages {
			if page&1 == 0 {
				c.add(span{offset + int64(i)*pageSize, offset + int64(i+1)*pageSize})
			}
		}
	}
	return c
}

// add adds a page to what is absent.
func (c *cacheTrace) add(page span) {
	if last := len(c.absent) - 1; last >= 0 && c.absent[last].to == page.from {
		c.absent[last].to = page.to
		return
	}
	c.absent = append(c.absent, page)
}

// residentPages is a byte for each page, the lowest bit of which tells whether it is in the
// page cache (mincore(2)). The mapping is not read, so that no page comes in by it.
func residentPages(fd int, offset, length, pageSize int64) ([]byte, error) {
	mapping, err := unix.Mmap(fd, offset, int(length), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Munmap(mapping) }() // it was mapped
	pages := make([]byte, (length+pageSize-1)/pageSize)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mapping[0])), uintptr(length), uintptr(unsafe.Pointer(&pages[0])))
	if errno != 0 {
		return nil, errno
	}
	return pages, nil
}

// behind drops what was read up to the offset, every now and then.
func (c *cacheTrace) behind(offset int64) {
	if c != nil && offset-c.dropped >= dropStep {
		c.drop(offset)
	}
}

// drop drops what was not cached, up to an offset. What was dropped before is asked for
// again, as a large folio goes only as a whole.
func (c *cacheTrace) drop(offset int64) {
	if c == nil {
		return
	}
	for _, s := range c.absent {
		if s.from < offset {
			// Advice that is not taken costs what it would have saved, and no more.
			_ = unix.Fadvise(c.fd, s.from, min(s.to, offset)-s.from, unix.FADV_DONTNEED)
		}
	}
	c.dropped = offset
}
