package walsendertest

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/protocol/page"
)

const (
	pageSize = 8192

	chunkPages = 128 // written at once

	firstRelation    = 20000
	emptyRelation    = 29999
	unloggedRelation = 30000
	firstSmallFile   = 100000
)

func (s Sample) writeDatabase(w tree, oid uint32) {
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
func (s Sample) writeSmallFiles(w tree) {
	for i := range s.SmallFiles {
		name, pages := smallFile(i)
		s.writeFork(w, name, pages)
	}
}

// smallFile is the name and the size of the i-th small file.
func smallFile(i int) (name string, pages int) {
	if i%8 == 7 {
		pages = 1
	}
	return fmt.Sprintf("base/5/%d", firstSmallFile+i), pages
}

func (s Sample) writeRelation(w tree, name string, pages int) {
	s.writeFork(w, name, pages)
	s.writeFork(w, name+"_fsm", 3)
	s.writeFork(w, name+"_vm", 1)
}

// writeFork writes a fork, in as many files as it needs.
func (s Sample) writeFork(w tree, name string, pages int) {
	seed := seedOf(name)
	for segment := 0; segment == 0 || segment*s.SegmentPages < pages; segment++ {
		file := name
		if segment > 0 {
			file = fmt.Sprintf("%s.%d", name, segment)
		}
		first := segment * s.SegmentPages
		size := int64(min(s.SegmentPages, pages-first)) * pageSize
		w.generate(file, s.relation(seed, uint32(first), size))
	}
}

// relation is a file of a fork that begins with the block first.
func (s Sample) relation(seed uint64, first uint32, size int64) content {
	return content{size: size, used: size, relation: true, first: first, page: func(buf []byte, number int64) {
		s.fillPage(buf, seed, first+uint32(number))
	}}
}

// fillPage makes a page of rows that no other block has. Of every 16 pages one,
// the second, is new: a relation was extended and nothing written yet.
func (s Sample) fillPage(content []byte, seed uint64, block uint32) {
	const (
		upper   = 1024
		special = pageSize
		version = 4
	)
	if block%16 == 1 {
		clear(content)
		return
	}
	lsn := s.switchLSN()
	clear(content[:upper])
	binary.NativeEndian.PutUint32(content[0:], uint32(lsn>>32))
	binary.NativeEndian.PutUint32(content[4:], uint32(lsn))
	binary.NativeEndian.PutUint16(content[12:], 24) // pd_lower: no line pointers
	binary.NativeEndian.PutUint16(content[14:], upper)
	binary.NativeEndian.PutUint16(content[16:], special)
	binary.NativeEndian.PutUint16(content[18:], pageSize|version)
	random := rand.NewPCG(seed, uint64(block))
	for i := upper; i < special; i += 8 {
		binary.NativeEndian.PutUint64(content[i:], random.Uint64())
	}
	if !s.NoChecksums {
		binary.NativeEndian.PutUint16(content[8:], page.Checksum(content, block))
	}
}

// noise is content that depends on the name only.
func noise(name string, size int) []byte {
	data := make([]byte, size)
	fillNoise(data, seedOf(name), 0)
	return data
}

func fillNoise(data []byte, seed, number uint64) {
	random := rand.NewPCG(seed, number)
	for i := 0; i+8 <= len(data); i += 8 {
		binary.NativeEndian.PutUint64(data[i:], random.Uint64())
	}
}

func seedOf(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name)) // never fails
	return h.Sum64()
}

// writeFile writes a further file. What has a number for a name is the main fork of
// a relation, or a later segment of one; all else is noise.
func (s Sample) writeFile(w tree, f SampleFile) {
	seed := seedOf(f.Path)
	number, segment, _ := strings.Cut(path.Base(f.Path), ".")
	if _, err := strconv.ParseUint(number, 10, 32); err != nil {
		w.generate(f.Path, content{size: f.Size, used: f.Size, page: func(buf []byte, number int64) {
			fillNoise(buf, seed, uint64(number))
		}})
		return
	}
	first, _ := strconv.Atoi(segment) // no segment is segment 0
	w.generate(f.Path, s.relation(seed, uint32(first*s.SegmentPages), f.Size))
}
