package walsendertest

import (
	"io"
)

// tree is where a [Sample] is written to: a directory on disk, or memory.
// Directories come before what they hold.
type tree interface {
	dir(name string)
	link(name, target string)
	file(name string, data []byte)
	generate(name string, c content)
}

// content makes the bytes of a file from its name and their place in it.
type content struct {
	size int64 // bytes
	used int64 // bytes before the zeros at the end, which page is not asked for
	// page fills buf, which is a whole page also where the file ends within it.
	// number counts from the start of the file.
	page func(buf []byte, number int64)
	// relation says that the pages are those of a relation, from block first on:
	// they have headers, and checksums where the cluster has them.
	relation bool
	first    uint32
}

// literal is content that lies in memory.
func literal(data []byte) content {
	return content{size: int64(len(data)), used: int64(len(data)), page: func(buf []byte, number int64) {
		clear(buf[copy(buf, data[number*pageSize:]):])
	}}
}

// writeTo writes the used part, many pages at once.
func (c content) writeTo(w io.Writer) error {
	pages := (c.used + pageSize - 1) / pageSize
	buf := make([]byte, min(chunkPages, pages)*pageSize)
	for at := int64(0); at < pages; {
		n := min(chunkPages, pages-at)
		for i := range n {
			c.page(buf[i*pageSize:][:pageSize], at+i)
		}
		if _, err := w.Write(buf[:min(n*pageSize, c.used-at*pageSize)]); err != nil {
			return err
		}
		at += n
	}
	return nil
}
