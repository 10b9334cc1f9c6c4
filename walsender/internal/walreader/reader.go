// Package walreader reads the write-ahead log of a cluster that does not run, by position,
// out of the files of its pg_wal, and finds where it ends.
package walreader

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
)

// Cluster is what WAL is read from: what a walsender.Cluster has of it. Its history files
// are used if it has any.
type Cluster interface {
	Identify(ctx context.Context) (protocol.System, error)
	Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error)
}

// Reader reads the WAL of a cluster. One goroutine uses it.
type Reader struct {
	cluster     Cluster
	segmentSize protocol.LSN
	major       int // of PostgreSQL

	file fs.File // the open segment, nil for none
	name string
	at   protocol.LSN // of the byte that Read of the file gives next
}

// checkedFile is a file that may become another one (walsender.CheckedFile).
type checkedFile interface{ Check() error }

// New makes a reader of a cluster with segments of the size in bytes, of a major version.
// The caller closes it.
func New(c Cluster, segmentSize int64, major int) *Reader {
	return &Reader{cluster: c, segmentSize: protocol.LSN(segmentSize), major: major}
}

// SegmentSize is that of a segment, in bytes.
func (r *Reader) SegmentSize() int64 { return int64(r.segmentSize) }

// Close closes the segment that is open. The reader can be used again.
func (r *Reader) Close() {
	if r.file != nil {
		_ = r.file.Close() // it was only read
	}
	r.file, r.name = nil, ""
}

// Read reads all of p from a position on. The segments are looked for on the timelines, in
// their order. WAL that is not there is 58P01. What has been read is what the names of the
// segments promise, when Read returns.
func (r *Reader) Read(ctx context.Context, p []byte, at protocol.LSN, timelines ...protocol.Timeline) error {
	for len(p) > 0 {
		piece := p[:min(uint64(len(p)), uint64(r.segmentSize-at%r.segmentSize))]
		if err := r.readSegment(ctx, piece, at, timelines); err != nil {
			return err
		}
		p, at = p[len(piece):], at+protocol.LSN(len(piece))
	}
	return nil
}

// readSegment reads what lies in one segment.
func (r *Reader) readSegment(ctx context.Context, p []byte, at protocol.LSN, timelines []protocol.Timeline) error {
	if err := r.open(ctx, at, timelines); err != nil {
		return err
	}
	err := r.skipTo(at)
	if err == nil {
		var n int
		n, err = io.ReadFull(r.file, p)
		r.at += protocol.LSN(n)
	}
	if err == nil {
		if checked, ok := r.file.(checkedFile); ok {
			err = checked.Check()
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = removed(r.name)
	}
	if err != nil {
		r.Close()
	}
	return err
}

// open makes the segment that has a position the open one, on the first of the timelines
// on which it is there.
func (r *Reader) open(ctx context.Context, at protocol.LSN, timelines []protocol.Timeline) error {
	var first error
	for _, tli := range timelines {
		name := protocol.WALFileName(tli, at, int64(r.segmentSize))
		if r.name == name && r.at <= at {
			return nil
		}
		file, err := r.cluster.Open(ctx, "pg_wal/"+name, protocol.OpenOptions{Notice: func(*protocol.Error) {}})
		if err == nil {
			r.Close()
			r.file, r.name, r.at = file, name, at-at%r.segmentSize
			return nil
		}
		if !isGone(err) {
			return err
		}
		if first == nil {
			first = removed(name)
		}
	}
	return first
}

// skipTo moves the open segment to a position that is not before that of the last byte read.
func (r *Reader) skipTo(at protocol.LSN) error {
	if at == r.at {
		return nil
	}
	var err error
	if seeker, ok := r.file.(io.Seeker); ok {
		_, err = seeker.Seek(int64(at%r.segmentSize), io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, r.file, int64(at-r.at))
	}
	r.at = at
	return err
}

// removed is the answer to WAL that is not there (any more).
func removed(name string) *protocol.Error {
	return protocol.Errorf(protocol.CodeUndefinedFile, "requested WAL segment %s has already been removed", name)
}

// End is where a cluster's WAL ends: the end of the last valid record.
type End struct {
	History History
	LSN     protocol.LSN
}

// scanPiece is how much is read at once to look for the end, in bytes: a whole number of
// pages, and a part of a segment.
const scanPiece = 128 << 10

// End finds where the WAL ends. The cluster knows a position up to which it was flushed.
// What a crash has left behind that, or a standby had received and not replayed when it was
// stopped, is found record by record. Nothing of a segment that was recycled is taken for
// WAL. last is what End has found before, or zero: what it has read is not read again.
func (r *Reader) End(ctx context.Context, last End) (End, error) {
	system, err := r.cluster.Identify(ctx)
	if err != nil {
		return End{}, err
	}
	history, err := readHistory(ctx, r.cluster, system.Timeline)
	if err != nil {
		return End{}, err
	}
	from := system.XLogPos
	if last.History.Timeline == system.Timeline {
		from = max(from, last.LSN)
	}
	end, err := r.scan(ctx, system, from, history)
	return End{History: history, LSN: end}, err
}

// scan is the end of the last valid record from a position on.
func (r *Reader) scan(ctx context.Context, system protocol.System, from protocol.LSN, history History) (protocol.LSN, error) {
	run := walrecord.NewRun(walrecord.Source{
		SystemID: system.SystemID, SegmentSize: int64(r.segmentSize), Major: r.major, Timeline: history.At,
	}, from-from%r.segmentSize, from)
	buffer := make([]byte, scanPiece)
	for run.Err() == nil {
		at := run.Skip()
		piece := buffer[:scanPiece-at%scanPiece]
		err := r.Read(ctx, piece, at, history.Timeline)
		if isGone(err) {
			break
		}
		if err != nil {
			return 0, err
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		_, _ = run.Write(piece) // Err says it, too
	}
	return max(from, run.End()), nil
}
