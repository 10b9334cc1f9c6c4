package verify

import (
	"io"
	"sync"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
)

// maxHistory is more than any history file has, in bytes.
const maxHistory = 1 << 20

// chain is WAL in a row that leads through one timeline or several.
type chain struct {
	ranges []manifest.WALRange // the newest first; each begins where the one behind it ends
	source walrecord.Source

	mu      sync.Mutex
	runs    map[protocol.LSN]*walrecord.Run // of the segments that were read, by where they begin
	sizes   map[string]int64                // of segments that are not whole
	history *string                         // of the newest timeline
}

// chains are the ranges of the manifest. Mostly they are one chain.
func (v *verification) chains(source walrecord.Source) (chains []*chain) {
	for _, r := range v.manifest.WALRanges {
		if n := len(chains); n > 0 && chains[n-1].start() == r.End {
			chains[n-1].ranges = append(chains[n-1].ranges, r)
			continue
		}
		chains = append(chains, &chain{ranges: []manifest.WALRange{r}, runs: map[protocol.LSN]*walrecord.Run{}, sizes: map[string]int64{}})
	}
	for _, c := range chains {
		c.source = source
		c.source.Timeline = func(at protocol.LSN) protocol.Timeline { return c.timeline(at + 1) }
	}
	return chains
}

func (c *chain) start() protocol.LSN { return c.ranges[len(c.ranges)-1].Start }

func (c *chain) stop() protocol.LSN { return c.ranges[0].End }

// timeline is the one that holds the byte before end.
func (c *chain) timeline(end protocol.LSN) protocol.Timeline {
	for _, r := range c.ranges {
		if r.Start < end {
			return r.Timeline
		}
	}
	return c.ranges[len(c.ranges)-1].Timeline
}

// segment is the name of the segment that begins at a position. Of two timelines with this
// segment the newer has all that the older has up to where it was left.
func (c *chain) segment(begin protocol.LSN) string {
	end := min(begin+protocol.LSN(c.source.SegmentSize), c.stop())
	return protocol.WALFileName(c.timeline(end), begin, c.source.SegmentSize)
}

// wants reports where a segment begins that belongs to the chain.
func (c *chain) wants(name string) (begin protocol.LSN, wanted bool) {
	size := protocol.LSN(c.source.SegmentSize)
	_, begin, segment := protocol.ParseWALFileName(name, c.source.SegmentSize)
	wanted = segment && begin >= c.start()-c.start()%size && begin < c.stop() && c.segment(begin) == name
	return begin, wanted
}

// wantsHistory reports whether a file says how the timelines of the chain came about.
func (c *chain) wantsHistory(name string) bool {
	return len(c.ranges) > 1 && name == protocol.HistoryFileName(c.ranges[0].Timeline)
}

// take reads a file of pg_wal, if the chain needs it. Its error is that of reading.
func (c *chain) take(name string, size int64, r io.Reader, buffer []byte) error {
	if c.wantsHistory(name) {
		content, err := io.ReadAll(io.LimitReader(r, maxHistory))
		text := string(content)
		c.history = &text
		return err
	}
	begin, wanted := c.wants(name)
	if !wanted {
		return nil
	}
	run := walrecord.NewRun(c.source, begin, c.start())
	if size == c.source.SegmentSize {
		if _, err := io.CopyBuffer(run, r, buffer); err != nil && run.Err() == nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if size != c.source.SegmentSize {
		c.sizes[name] = size
		return nil
	}
	c.runs[begin] = run
	return nil
}
