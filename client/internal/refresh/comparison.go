package refresh

import (
	"context"
	"sync"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

const (
	// BlockSize is the size of a block: two pages. Smaller blocks cost more digests, of which each
	// has 16 bytes or more; larger ones carry more pages that did not change.
	BlockSize = 16 << 10
	// leastSize is the size below which a file is not asked about: it costs no less to ask.
	leastSize = 1 << 10
	// leastBlocks is the size from which on a relation is compared by blocks.
	leastBlocks = 256 << 10

	// A batch is asked for at once, so that a small file costs no round trip, and so that the
	// server computes one digest while this side computes another.
	batchFiles = 128
	batchText  = 16 << 10
	batchBytes = 64 << 20
)

// Config says what is compared with what. Every field is required but those that say otherwise.
type Config struct {
	Files *output.Files // as the server has listed them
	Order []int32       // in which they are compared
	Tree  output.Refresher
	// Sum is for the checksums of the manifest; with NoSum there are none.
	Sum   manifest.ChecksumAlgorithm
	NoSum bool
	// Unverified asks the server not to verify the checksums of pages.
	Unverified bool
	// Only compares: nothing is fetched, and Tree's Keep, Patch and Drop are not called. What has
	// parts to fetch is told to Kept as if they had been.
	Only bool
	// Fetched are the paths of files that are fetched whatever is here; nil: none.
	Fetched map[string]bool
	// Kept is told of each file that is whole, of which fetched bytes came from the server.
	// listed is the size that was listed; the file has the one of now.
	Kept func(f *output.File, listed, fetched int64) error
	// Progress is told of bytes that are known to be whole, or, below 0, are not after all.
	Progress func(bytes int64)
}

// Comparison compares files, over any number of connections at once.
type Comparison struct {
	Config
	digest manifest.ChecksumAlgorithm // by which files are compared; see the package comment
	mu     sync.Mutex
	next   []int32 // still to be compared
	done   int     // how many are dealt with
}

// New begins with none of the files compared.
func New(c Config) *Comparison {
	by := manifest.ChecksumXXH128
	if !c.NoSum && c.Sum != manifest.ChecksumCRC32C && c.Sum != manifest.ChecksumNone {
		by = c.Sum
	}
	return &Comparison{Config: c, digest: by, next: c.Order}
}

// Done is how many files are dealt with, kept or not.
func (c *Comparison) Done() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

// Rest is which files are to be fetched, in the order in which they were compared. It is
// called when all is compared.
func (c *Comparison) Rest() []int32 {
	var rest []int32
	for _, i := range c.Order {
		if !c.Files.At(i).Kept {
			rest = append(rest, i)
		}
	}
	return rest
}

// Run compares files until none is left. After a *[wire.LostError] it can be called again, with
// another connection. What is not kept has no file in the tree then. The end of ctx is looked
// for while files are read; what waits for the server ends with the connection.
func (c *Comparison) Run(ctx context.Context, conn *wire.Conn) error {
	r := &run{Comparison: c, ctx: ctx, conn: conn, piece: make([]byte, pieceSize)}
	for {
		batch, err := c.take()
		if err != nil || len(batch) == 0 {
			return err
		}
		if err := r.compare(batch); err != nil {
			c.putBack(batch)
			return err
		}
	}
}

// question is a file that the server is asked about.
type question struct {
	index    int32
	file     *output.File
	byBlocks bool
	onDisk   int64 // how much of the file here is on disk; see [output.Refresher.OnDisk]
	cut      bool  // the file here is longer
	answered bool  // what is to become of it is known: dealt with, or it differs in
	differs  []span
	blocks   int64     // how many the server has
	sums     blockSums // of the blocks here; nil: the manifest has other checksums, or none
	done     bool
}

// take is the next files that are worth a question. The others are dealt with by the way.
func (c *Comparison) take() ([]*question, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var batch []*question
	text, bytes := 0, int64(0)
	for len(c.next) > 0 && len(batch) < batchFiles && text < batchText && bytes < batchBytes {
		f := c.Files.At(c.next[0])
		q, worth, err := c.ask(f)
		if err != nil {
			return nil, err
		}
		q.index = c.next[0]
		c.next = c.next[1:]
		if !worth {
			if !c.Only {
				if err := c.Tree.Drop(f.Path); err != nil {
					return nil, err
				}
			}
			c.done++
			continue
		}
		batch = append(batch, &q)
		text += len(f.Path) + len("FILE_DIGESTS ('') CHECKSUM 'XXH128' BLOCK 16384 NOVERIFY_CHECKSUMS")
		bytes += f.Size
	}
	return batch, nil
}

// ask is how the server is asked about a file, if it is worth it.
func (c *Comparison) ask(f *output.File) (q question, worth bool, err error) {
	if f.Size < leastSize || c.Fetched[f.Path] {
		return q, false, nil
	}
	e, found := c.Tree.Earlier(f.Path, f.Size)
	if !found {
		return q, false, nil
	}
	defer e.Close()
	q.file = f
	if q.onDisk, err = c.Tree.OnDisk(f.Path, e); err != nil {
		return q, false, err
	}
	q.cut = q.onDisk < e.Size
	if q.onDisk != f.Size || q.cut {
		q.byBlocks = true
		return q, isByBlocks(f) && q.onDisk >= BlockSize, nil
	}
	earlier, known := c.Tree.Time(f.Path)
	q.byBlocks = isByBlocks(f) && known && earlier != f.ModTime
	return q, true, nil
}

// isByBlocks reports whether a file is one that is compared by blocks where it differs.
func isByBlocks(f *output.File) bool {
	return protocol.KindOfPath(f.Path) == protocol.PathRelation && f.Size >= leastBlocks
}

// earlier opens what there is of the file of a question.
func (c *Comparison) earlier(q *question) (output.Earlier, bool) {
	e, found := c.Tree.Earlier(q.file.Path, q.file.Size)
	e.Size = min(e.Size, q.onDisk)
	return e, found
}

// putBack returns what of a batch is not dealt with.
func (c *Comparison) putBack(batch []*question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range batch {
		if !q.done {
			c.next = append(c.next, q.index)
		}
	}
}

// dealtWith says that a file is kept, or is to be fetched.
func (c *Comparison) dealtWith(q *question) {
	q.done = true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
}
