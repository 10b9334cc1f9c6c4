package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
)

// whereWAL is the hint where segments are missing.
const whereWAL = "Say where the write-ahead log is with -w/--wal-path, or leave it out with -n/--no-parse-wal if recovery takes it from an archive."

// maxHistory is more than any history file has, in bytes.
const maxHistory = 1 << 20

// checkWAL makes sure that the WAL which the manifest names is there, whole and of this
// cluster and these timelines, and has what recovery looks for: the checkpoint that it
// begins with, and the record that ends the backup.
func (v *verification) checkWAL(ctx context.Context) error {
	if v.SkipWAL || len(v.manifest.WALRanges) == 0 {
		return nil
	}
	source, err := v.walSource()
	if err != nil {
		v.problemf(WAL, output.WALFolder, "%v", err)
		return nil
	}
	chains := v.chains(source)
	if err := v.readWAL(ctx, chains); err != nil {
		if ended := context.Cause(ctx); ended != nil {
			return ended
		}
		v.problemf(WAL, output.WALFolder, "%v", err)
		return nil
	}
	for _, c := range chains {
		v.judge(c, len(chains) == 1)
	}
	return nil
}

// walSource is what the WAL must be of.
func (v *verification) walSource() (walrecord.Source, error) {
	content, found := v.files.kept[output.ControlFile]
	control, err := controlfile.DecodeForeign(content)
	if !found || err != nil || control.WALSegmentSize == 0 {
		return walrecord.Source{}, fmt.Errorf("write-ahead log was not read: %q does not tell the size of its segments", output.ControlFile)
	}
	s := walrecord.Source{SystemID: control.SystemID, SegmentSize: int64(control.WALSegmentSize)}
	if v.manifest.Version >= 2 {
		s.SystemID = v.manifest.SystemID
	}
	if !control.IsKnown() { // only then does it matter to WAL of which version it is
		s.Major, _ = strconv.Atoi(strings.TrimSpace(string(v.files.kept["PG_VERSION"])))
	}
	return s, nil
}

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

// readWAL has the chains take what there is.
func (v *verification) readWAL(ctx context.Context, chains []*chain) error {
	if v.WALPath != "" {
		info, err := os.Stat(v.WALPath)
		if err != nil {
			return fmt.Errorf("could not open directory %q: %w", v.WALPath, output.Cause(err))
		}
		if !info.IsDir() {
			return readWALArchive(ctx, v.WALPath, chains)
		}
		if l, err := findLayout(v.WALPath, Any); err == nil && l.format == Tar {
			return readWALArchive(ctx, filepath.Join(v.WALPath, l.walArchive()), chains)
		}
		return v.readWALDirectory(ctx, chains, v.WALPath, filepath.Join(v.WALPath, output.WALFolder))
	}
	if v.layout.format == Tar {
		name := v.layout.walArchive()
		if name == "" {
			return nil
		}
		return readWALArchive(ctx, filepath.Join(v.dir, name), chains)
	}
	return v.readWALDirectory(ctx, chains, filepath.Join(v.dir, output.WALFolder))
}

// walArchive is the archive with the WAL: pg_wal.tar, or else base.tar; empty: neither is
// there.
func (l layout) walArchive() string {
	base := ""
	for _, a := range l.archives {
		switch {
		case a.wal:
			return a.name
		case a.prefix() == "":
			base = a.name
		}
	}
	return base
}

// readWALArchive reads the WAL in an archive, which may have it below pg_wal.
func readWALArchive(ctx context.Context, archive string, chains []*chain) error {
	buffer := make([]byte, 128<<10)
	err := walkArchive(ctx, archive, func(name string, size int64, r io.Reader) error {
		name = strings.TrimPrefix(name, output.WALFolder+"/")
		for _, c := range chains {
			if err := c.take(name, size, contextReader{ctx, r}, buffer); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("could not read archive %q: %w", filepath.Base(archive), err)
	}
	return nil
}

// readWALDirectory reads the WAL in the first of the directories that has each file.
func (v *verification) readWALDirectory(ctx context.Context, chains []*chain, dirs ...string) error {
	type file struct {
		chain *chain
		path  string
	}
	var wanted []file
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("could not open directory %q: %w", dir, output.Cause(err))
		}
		for _, entry := range entries {
			for _, c := range chains {
				_, segment := c.wants(entry.Name())
				if !segment && !c.wantsHistory(entry.Name()) || slices.ContainsFunc(wanted, func(f file) bool { return f.chain == c && filepath.Base(f.path) == entry.Name() }) {
					continue
				}
				wanted = append(wanted, file{c, filepath.Join(dir, entry.Name())})
			}
		}
	}
	return v.each(ctx, len(wanted), func(ctx context.Context, i int, buffer []byte) error {
		return wanted[i].chain.takeFile(ctx, wanted[i].path, buffer)
	})
}

func (c *chain) takeFile(ctx context.Context, path string, buffer []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("could not open file %q: %w", path, output.Cause(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("could not stat file %q: %w", path, output.Cause(err))
	}
	if err := c.take(filepath.Base(path), info.Size(), contextReader{ctx, f}, buffer); err != nil {
		return fmt.Errorf("could not read file %q: %w", path, output.Cause(err))
	}
	return nil
}

// judge tells what is wrong with a chain that was read, of several or the only one.
func (v *verification) judge(c *chain, only bool) {
	p := Problem{Kind: WAL, Path: output.WALFolder}
	err := c.checkHistory()
	if err == nil {
		err = v.checkRecords(c, only)
	}
	if err == nil {
		return
	}
	if errors.As(err, new(*missingError)) {
		p.Hint = whereWAL
	}
	p.Message = fmt.Sprintf("WAL parsing failed for timeline %d: %v", c.ranges[0].Timeline, err)
	v.problem(p)
}

// missingError is the error for a file of pg_wal that is not there.
type missingError struct{ name string }

func (e *missingError) Error() string { return fmt.Sprintf("could not find file %q", e.name) }

// checkHistory holds the timelines of the manifest against the history file by which recovery
// follows them.
func (c *chain) checkHistory() error {
	if len(c.ranges) == 1 {
		return nil
	}
	name := protocol.HistoryFileName(c.ranges[0].Timeline)
	if c.history == nil {
		return &missingError{name}
	}
	ends := map[protocol.Timeline]protocol.LSN{}
	for a, err := range protocol.Ancestors(*c.history) {
		if err != nil {
			return fmt.Errorf("syntax error in file %q: %w", name, err)
		}
		ends[a.Timeline] = a.End
	}
	for _, r := range c.ranges[1:] {
		if ends[r.Timeline] != r.End {
			return fmt.Errorf("timeline %d ends at %v by the manifest, and at %v by the file %q", r.Timeline, r.End, ends[r.Timeline], name)
		}
	}
	return nil
}

// checkRecords holds the records of a chain against what recovery looks for in them.
func (v *verification) checkRecords(c *chain, only bool) error {
	first := c.start() - c.start()%protocol.LSN(c.source.SegmentSize)
	run := walrecord.JoinAll(c.runs, first)
	next := first
	if run != nil {
		next = run.Next()
	}
	if next < c.stop() && (run == nil || run.Err() == nil) {
		name := c.segment(next)
		if size, short := c.sizes[name]; short {
			return fmt.Errorf("unexpected WAL file size %q: %d bytes", name, size)
		}
		return &missingError{name}
	}
	need := walrecord.Backup{Start: c.start(), Stop: c.stop()}
	listed := slices.ContainsFunc(v.files.listed, func(f manifest.File) bool { return f.Path == output.LabelFile })
	if !listed && !v.ignored(output.LabelFile) {
		return v.checkShutdown(run, need)
	}
	// A label that is damaged has been told. One of an incremental backup is none that
	// a server starts with.
	label, err := protocol.ParseBackupLabel(string(v.files.kept[output.LabelFile]))
	if err != nil {
		return run.Check(need)
	}
	if label.StartPtr != need.Start && !only {
		return run.Reach(need.Stop) // it is another chain that the backup begins with
	}
	if label.StartPtr != need.Start {
		return fmt.Errorf("the manifest has it begin at %v, and the label at %v", need.Start, label.StartPtr)
	}
	need.Checkpoint, need.Source = label.Checkpoint, "the label"
	need.Ends = label.Method == "streamed" && label.From != "standby"
	return run.Check(need)
}

// checkShutdown is for the backup of a cluster that was shut down, which needs no label: all
// is in pg_control.
func (v *verification) checkShutdown(run *walrecord.Run, need walrecord.Backup) error {
	control, err := controlfile.DecodeForeign(v.files.kept[output.ControlFile])
	if err != nil {
		return err
	}
	need.Checkpoint, need.Source = control.Checkpoint, output.ControlFile
	if err := run.Check(need); err != nil {
		return err
	}
	if !run.Checkpoint.IsShutdown() {
		return fmt.Errorf("the checkpoint at %v is not the one of a shutdown", control.Checkpoint)
	}
	return nil
}
