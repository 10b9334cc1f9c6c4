package walsendertest

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"

	"github.com/pgparallel/pgparallel/walsender/datadir"
)

const (
	pageSize = 8192

	chunkPages = 128 // written at once

	firstRelation    = 20000
	emptyRelation    = 29999
	unloggedRelation = 30000
	firstSmallFile   = 100000
)

func (s Sample) writeDatabase(w *treeWriter, oid uint32) {
	dir := fmt.Sprintf("base/%d", oid)
	w.dir(dir)
	w.file(dir+"/PG_VERSION", s.versionFile())
	w.file(dir+"/pg_filenode.map", noise(dir, 512))
	for i := range s.Relations {
		s.writeRelation(w, fmt.Sprintf("%s/%d", dir, firstRelation+i), s.RelationPages)
	}
	w.file(fmt.Sprintf("%s/%d", dir, emptyRelation), nil)
	if s.Unlogged {
		s.writeFork(w, fmt.Sprintf("%s/%d", dir, unloggedRelation), s.RelationPages)
		s.writeFork(w, fmt.Sprintf("%s/%d_fsm", dir, unloggedRelation), 3)
		w.file(fmt.Sprintf("%s/%d_init", dir, unloggedRelation), nil) // a table's; an index has a page in it
	}
}

// writeSmallFiles is apart from [Sample.writeDatabase] as only one database has them.
func (s Sample) writeSmallFiles(w *treeWriter) {
	for i := range s.SmallFiles {
		name := fmt.Sprintf("base/5/%d", firstSmallFile+i)
		if i%8 == 7 {
			s.writeFork(w, name, 1)
		} else {
			w.file(name, nil)
		}
	}
}

func (s Sample) writeRelation(w *treeWriter, name string, pages int) {
	s.writeFork(w, name, pages)
	s.writeFork(w, name+"_fsm", 3)
	s.writeFork(w, name+"_vm", 1)
}

// writeFork writes a fork, in as many files as it needs.
func (s Sample) writeFork(w *treeWriter, name string, pages int) {
	seed := seedOf(name)
	for segment := 0; segment == 0 || segment*s.SegmentPages < pages; segment++ {
		file := name
		if segment > 0 {
			file = fmt.Sprintf("%s.%d", name, segment)
		}
		first := segment * s.SegmentPages
		w.stream(file, func(f *os.File) error {
			return s.writePages(f, seed, first, min(first+s.SegmentPages, pages))
		})
	}
}

// writePages writes the pages of the blocks [first, end) of a fork.
func (s Sample) writePages(f *os.File, seed uint64, first, end int) error {
	buf := make([]byte, min(chunkPages, end-first)*pageSize)
	for block := first; block < end; {
		n := min(chunkPages, end-block)
		for i := range n {
			s.fillPage(buf[i*pageSize:][:pageSize], seed, uint32(block+i))
		}
		if _, err := f.Write(buf[:n*pageSize]); err != nil {
			return err
		}
		block += n
	}
	return nil
}

// fillPage makes a page of rows that no other block has. Of every 16 pages one,
// the second, is new: a relation was extended and nothing written yet.
func (s Sample) fillPage(page []byte, seed uint64, block uint32) {
	const (
		upper   = 1024
		special = pageSize
		version = 4
	)
	if block%16 == 1 {
		clear(page)
		return
	}
	lsn := s.switchLSN()
	clear(page[:upper])
	binary.NativeEndian.PutUint32(page[0:], uint32(lsn>>32))
	binary.NativeEndian.PutUint32(page[4:], uint32(lsn))
	binary.NativeEndian.PutUint16(page[12:], 24) // pd_lower: no line pointers
	binary.NativeEndian.PutUint16(page[14:], upper)
	binary.NativeEndian.PutUint16(page[16:], special)
	binary.NativeEndian.PutUint16(page[18:], pageSize|version)
	random := rand.NewPCG(seed, uint64(block))
	for i := upper; i < special; i += 8 {
		binary.NativeEndian.PutUint64(page[i:], random.Uint64())
	}
	if !s.NoChecksums {
		binary.NativeEndian.PutUint16(page[8:], datadir.PageChecksum(page, block))
	}
}

// noise is content that depends on the name only.
func noise(name string, size int) []byte {
	data := make([]byte, size)
	random := rand.NewPCG(seedOf(name), 0)
	for i := 0; i+8 <= size; i += 8 {
		binary.NativeEndian.PutUint64(data[i:], random.Uint64())
	}
	return data
}

func seedOf(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name)) // never fails
	return h.Sum64()
}
