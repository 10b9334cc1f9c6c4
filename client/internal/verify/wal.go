package verify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
)

// whereWAL is the hint where segments are missing.
const whereWAL = "Say where the write-ahead log is with -w/--wal-path, or leave it out with -n/--no-parse-wal if recovery takes it from an archive."

// checkWAL makes sure that the WAL which the manifest names is there, whole and of this
// cluster and these timelines, and has what recovery looks for: the checkpoint that it
// begins with, and the record that ends the backup.
func (v *verification) checkWAL(ctx context.Context) error {
	if v.SkipWAL {
		return nil
	}
	if len(v.manifest.WALRanges) == 0 {
		v.checkUnnamedWAL()
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

// checkUnnamedWAL makes sure that WAL is there which the manifest does not name, as that of a
// cluster that was not running: pg_wal must lead somewhere, and where there is no label,
// recovery begins with the segments of the checkpoint of pg_control, of whichever timeline.
func (v *verification) checkUnnamedWAL() {
	if v.layout.format == Tar || v.WALPath != "" {
		return
	}
	entries, err := os.ReadDir(filepath.Join(v.dir, output.WALFolder))
	if _, absent := os.Lstat(filepath.Join(v.dir, output.WALFolder)); err != nil && absent == nil {
		v.problem(Problem{WAL, output.WALFolder, fmt.Sprintf("could not open directory %q: %v", output.WALFolder, output.Cause(err)), whereWAL})
		return
	}
	control, err := controlfile.DecodeForeign(v.files.kept[output.ControlFile])
	if err != nil || control.WALSegmentSize == 0 || v.hasLabel() {
		return
	}
	size := protocol.LSN(control.WALSegmentSize)
	present := map[protocol.LSN]bool{} // by where a segment begins
	for _, entry := range entries {
		_, begin, segment := protocol.ParseWALFileName(entry.Name(), int64(size))
		info, err := os.Stat(filepath.Join(v.dir, output.WALFolder, entry.Name()))
		if segment && err == nil && info.Size() == int64(size) {
			present[begin] = true
		}
	}
	for begin := control.Redo - control.Redo%size; begin <= control.Checkpoint; begin += size {
		if !present[begin] {
			missing := &missingError{protocol.WALFileName(control.Timeline, begin, int64(size))}
			v.problem(Problem{WAL, output.WALFolder, missing.Error(), whereWAL})
			return
		}
	}
}

// hasLabel reports whether the backup has a label, or whether that is none of the
// verification's business.
func (v *verification) hasLabel() bool {
	return v.ignored(output.LabelFile) ||
		slices.ContainsFunc(v.files.listed, func(f manifest.File) bool { return f.Path == output.LabelFile })
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
	if !v.hasLabel() {
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
