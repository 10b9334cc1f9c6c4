package client

import (
	"hash"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// partSize is how much of a large file one goroutine takes on at a time: whole pages, so little
// that all have about as much to do, and so much that the parts cost nothing.
const partSize = 4 << 20

// divided is a file that is copied by its descriptor, by the worker that has it and by others in
// the places of workers that wait: the last file of a backup may be a gigabyte, and the largest of
// all is where they wait longest.
type divided struct {
	mu    sync.Mutex
	parts []*copiedPart // that somebody has taken on, in the order of the file
	over  bool          // nobody takes on more: one has failed, or has found the end of the file
}

// copiedPart is what has been copied of a part of a file. The goroutine that took it on writes
// to it.
type copiedPart struct {
	from, to int64 // offsets
	size     int64 // less than all where the file ends
	sum      hash.Hash
}

// divide reports whether several goroutines can copy the file: it is large enough, its parts can
// be written in any order, and their checksums make up that of the file.
func (c *described) divide() bool {
	if c.size <= partSize || c.lender == nil {
		return false
	}
	if _, ok := c.out.(output.Filler); !ok && c.by != byClone {
		return false
	}
	if _, ok := c.sum.(manifest.Joiner); !ok && c.sum != nil {
		return false
	}
	return true
}

// takeOn is the next part, nil where there is none. How many there are is not known before they
// have been read: the server may say anything of the size.
func (c *described) takeOn() *copiedPart {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := int64(len(c.parts)) * partSize
	if c.over || from >= c.size {
		return nil
	}
	part := &copiedPart{from: from, to: min(from+partSize, c.size)}
	if c.sum != nil {
		part.sum = manifest.ChecksumCRC32C.New()
	}
	c.parts = append(c.parts, part)
	return part
}

// finish has nobody take on more.
func (c *described) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
}

// copyTogether copies the file, part by part.
func (c *described) copyTogether() error {
	var helpers errgroup.Group // they end with the parts, or when one has failed
	err := c.copyParts(func() {
		for c.lender.borrow() {
			helpers.Go(func() error {
				defer c.lender.giveBack()
				return c.copyParts(func() {})
			})
		}
	})
	if helped := helpers.Wait(); err == nil {
		err = helped
	}
	c.join()
	return err
}

// copyParts copies parts until there are none left, and calls recruit before each.
func (c *described) copyParts(recruit func()) error {
	piece := c.pieces.take()
	defer c.pieces.put(piece)
	for part := c.takeOn(); part != nil; part = c.takeOn() {
		recruit()
		if err := c.copyPart(part, piece); err != nil {
			return err
		}
	}
	return nil
}

func (c *described) copyPart(part *copiedPart, piece []byte) error {
	err := c.copyRange(part.from, part.to, piece, func(data []byte, at int64) error {
		if c.by != byClone {
			if err := c.out.(output.Filler).AddAt(data, at); err != nil {
				return err
			}
		}
		if part.sum != nil {
			part.sum.Write(data)
		}
		part.size += int64(len(data))
		c.count(int64(len(data)))
		return nil
	})
	if err != nil || part.size < part.to-part.from {
		c.finish()
	}
	return err
}

// join puts the parts together, up to the first that is shorter than it should be: the file has
// ended there when that was read, whatever others have found behind.
func (c *described) join() {
	whole := true
	for _, part := range c.parts {
		if !whole {
			c.count(-part.size)
			continue
		}
		c.incoming.size += part.size
		if joiner, ok := c.sum.(manifest.Joiner); ok && part.sum != nil {
			joiner.Join(part.sum.Sum(nil), part.size)
		}
		whole = part.size == part.to-part.from
	}
	if filler, ok := c.out.(output.Filler); ok && c.by != byClone {
		filler.Fill(c.incoming.size)
	}
}
