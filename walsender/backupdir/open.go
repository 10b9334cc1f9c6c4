package backupdir

import (
	"bytes"
	"context"
	"errors"
	"hash"
	"io"
	"io/fs"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// Open opens a file of a listing, as [datadir.Dir.Open] does. Where the file is not what the
// manifest says, the error is XX001: by its size, and with [Options.Verify] by its checksum,
// which is compared before Open returns. Pages are excused from startptr to the end of the
// backup. Files of data are walsender.CheckedFiles: one that is written to after it was
// opened is not sent to its end. WAL is the backup's, from the segment of its start to that
// of its end, and 58P01 otherwise.
func (b *Backup) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	if segment, isWAL := strings.CutPrefix(name, "pg_wal/"); isWAL {
		if err := b.checkSegment(segment); err != nil {
			return nil, err
		}
		return b.Dir.Open(ctx, name, o)
	}
	if b.contents.stop.Label != "" {
		o.WALEnd = b.contents.stop.StopPtr
	}
	f, err := b.Dir.Open(ctx, name, o)
	i, listed := b.contents.find(name)
	if err != nil {
		if _, lookErr := b.Lookup(name); listed && errors.Is(lookErr, fs.ErrNotExist) {
			return nil, missing(name)
		}
		return nil, err
	}
	held := &heldFile{File: f, name: name}
	held.content, _ = f.(datadir.ContentFile)
	switch {
	case ignored(name):
	case !listed:
		err = extra(name)
	default:
		err = b.holdFile(ctx, held, b.contents.files[i])
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return held, nil
}

// holdFile holds a file that was opened against the manifest.
func (b *Backup) holdFile(ctx context.Context, f *heldFile, listed manifest.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != listed.Size {
		return otherSize(f.name, info.Size(), listed.Size)
	}
	if !b.options.Verify {
		return nil
	}
	if err := f.verify(ctx, listed); err != nil {
		return err
	}
	f.sent, f.want = listed.Algorithm.New(), listed.Checksum
	return nil
}

// heldFile is a file of data that the manifest has been held against.
type heldFile struct {
	fs.File
	name    string
	content datadir.ContentFile // nil: it was read when it was opened

	sent hash.Hash // of what was read in order, which is what is sent; nil: it is not compared
	want []byte
}

// Read reads what is sent. At the end of a file whose checksum was compared before, that of
// what was read is, too: somebody may have written to the file between the two, and the
// times of a file do not show every such case (mmap, utimes).
func (f *heldFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	if f.sent == nil {
		return n, err
	}
	f.sent.Write(p[:n])
	if errors.Is(err, io.EOF) && !bytes.Equal(f.sent.Sum(nil), f.want) {
		err = damaged(`file "%s" was written to while it was read`, shown(f.name))
	}
	return n, err
}

// Check makes sure that nobody has written to the file since it was opened.
func (f *heldFile) Check() error {
	if f.content == nil {
		return nil
	}
	same, err := f.content.Unchanged()
	if err == nil && !same {
		err = damaged(`file "%s" was written to while it was read`, shown(f.name))
	}
	return err
}

// ChecksumFailures counts the pages that were found damaged so far.
func (f *heldFile) ChecksumFailures() int {
	if v, ok := f.File.(interface{ ChecksumFailures() int }); ok {
		return v.ChecksumFailures()
	}
	return 0
}

// Descriptor is the file's descriptor (walsender.DescriptorFile). There is none where
// checksums are compared: nobody would compare that of what the client reads.
func (f *heldFile) Descriptor() (fd int, size int64, ok bool) {
	if f.sent != nil {
		return -1, 0, false
	}
	if d, is := f.File.(interface{ Descriptor() (int, int64, bool) }); is {
		return d.Descriptor()
	}
	return -1, 0, false
}

// Version is the file's version (walsender.VersionedFile).
func (f *heldFile) Version() protocol.FileVersion {
	if v, is := f.File.(interface{ Version() protocol.FileVersion }); is {
		return v.Version()
	}
	return protocol.FileVersion{}
}

// verify compares the checksum of the file with the manifest's, before anything is sent.
func (f *heldFile) verify(ctx context.Context, listed manifest.File) error {
	sum := listed.Algorithm.New()
	content, ok := f.File.(io.ReaderAt)
	if sum == nil || !ok {
		return nil
	}
	const piece = 256 << 10
	buffer := make([]byte, min(piece, max(listed.Size, 1)))
	for offset := int64(0); ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := content.ReadAt(buffer, offset)
		sum.Write(buffer[:n])
		offset += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if !bytes.Equal(sum.Sum(nil), listed.Checksum) {
		return damaged(`checksum mismatch for file "%s"`, shown(f.name))
	}
	return f.Check()
}
