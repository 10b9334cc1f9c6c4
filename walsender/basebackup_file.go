package walsender

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/tarheader"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender/internal/basebackup"
)

// sendRegular sends a regular file, as long as it is when it is opened: what it grows by is
// left out, and what it shrinks by is zeros. Recovery mends both.
func (b *baseBackup) sendRegular(ctx context.Context, a *basebackup.Archive, f protocol.File, h tarheader.Header) error {
	file, err := b.cluster.Open(ctx, f.Path, protocol.OpenOptions{
		StartPtr: b.from.StartPtr, VerifyChecksums: !b.options.NoVerifyChecksums, Notice: b.notice,
	})
	if errors.Is(err, fs.ErrNotExist) || protocol.HasCode(err, protocol.CodeUndefinedFile) {
		b.excuse(f.Path)
		return nil
	}
	if err != nil {
		return fileError(f.Path, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	h.Size, h.ModTime = info.Size(), info.ModTime()
	if err := a.Header(h); err != nil {
		return err
	}
	sum := b.manifest.Checksum()
	passing := beginPassing(b.server.Digests.kept(), file, b.manifest.Algorithm(), b.options.NoVerifyChecksums)
	whole, err := b.sendBytes(ctx, a, file, h.Size, sum)
	if verified, ok := file.(VerifiedFile); ok {
		b.entry.AddChecksumFailures(verified.ChecksumFailures())
	}
	if err != nil {
		return err
	}
	if whole {
		passing.keep(sum.Hash, h.Size)
	} else {
		b.excuse(f.Path)
	}
	if err := a.Pad(h.Size); err != nil {
		return err
	}
	return b.manifest.AddFile(f.Path, h, sum)
}

// excuse notes a file that vanished or shrank, which only recovery mends.
func (b *baseBackup) excuse(path string) {
	if b.excused == "" {
		b.excused = path
	}
}

// sendBytes sends size bytes of a file, with zeros for those that the file does not have any
// more. It reports whether the file had them all.
func (b *baseBackup) sendBytes(ctx context.Context, a *basebackup.Archive, file fs.File, size int64, sum basebackup.Sum) (whole bool, err error) {
	whole = true
	for left := size; left > 0; {
		piece := b.buffer[:min(int64(len(b.buffer)), left)]
		if whole {
			n, err := io.ReadFull(file, piece)
			whole = err == nil
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return false, err
			}
			clear(piece[n:])
			if err := b.checkFile(ctx, file); err != nil {
				return false, err
			}
		} else {
			clear(piece)
		}
		sum.Add(piece)
		if err := a.Write(piece); err != nil {
			return false, err
		}
		left -= int64(len(piece))
	}
	return whole, nil
}

// checkFile is what must hold of a file after each piece that is read.
func (b *baseBackup) checkFile(ctx context.Context, file fs.File) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if checked, ok := file.(CheckedFile); ok {
		return checked.Check()
	}
	return nil
}

// content is a member whose bytes are in memory.
type content struct {
	file  protocol.File
	bytes []byte
}

// injected is a file that the server makes.
func injected(path string, bytes []byte) content {
	return content{protocol.File{Path: path, Type: protocol.TypeFile, Size: int64(len(bytes)), ModTime: time.Now()}, bytes}
}

// sendContent sends a member, and adds it to the manifest.
func (b *baseBackup) sendContent(a *basebackup.Archive, c content) error {
	h := b.memberHeader(a, c.file)
	h.Size = int64(len(c.bytes))
	if err := a.Header(h); err != nil {
		return err
	}
	if err := a.Write(c.bytes); err != nil {
		return err
	}
	if err := a.Pad(h.Size); err != nil {
		return err
	}
	sum := b.manifest.Checksum()
	sum.Add(c.bytes)
	return b.manifest.AddFile(c.file.Path, h, sum)
}

// readControl reads pg_control, whose time is that of the copy.
func (b *baseBackup) readControl(ctx context.Context) (content, error) {
	end, err := b.entry.BeginFile(sharedstate.ControlFile)
	if err != nil {
		return content{}, err
	}
	defer end(false)
	f, err := b.cluster.Open(ctx, controlFile, protocol.OpenOptions{Notice: b.notice})
	if err != nil {
		return content{}, fileError(controlFile, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return content{}, err
	}
	bytes, err := io.ReadAll(io.LimitReader(f, info.Size()))
	if err != nil {
		return content{}, err
	}
	end(true)
	row := b.control
	row.Path, row.Type, row.ModTime = controlFile, protocol.TypeFile, info.ModTime()
	return content{row, bytes}, nil
}
