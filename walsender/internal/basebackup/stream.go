package basebackup

import (
	"encoding/binary"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol/wire"
)

const (
	// firstOneStream is the first major version of PostgreSQL that sends a backup as one
	// COPY. In those before, each archive and the manifest is a COPY of its own.
	firstOneStream = 15

	// FrameSize is the payload of a message, in bytes: PostgreSQL's.
	FrameSize = 32 << 10

	progressInterval = time.Second
	progressBytes    = 64 << 10 // the time is looked at once in so many bytes
)

// Client is the session that a backup is sent to.
type Client struct {
	Send  func(pgproto3.BackendMessage) error
	Out   io.Writer         // takes the frames of Stream
	Allow func(n int) error // waits until n bytes more may be sent; its error ends the backup
}

// Stream is what a BASE_BACKUP sends: archives one after the other, then the manifest
// (basebackup_copy.c). What is written to it goes out in messages.
type Stream struct {
	client Client
	one    bool // all of it is one COPY, whose messages tell what they are
	frames *wire.FrameWriter
	size   int // of the payload of a message
	filled int // how much of it is there

	sent     int64 // bytes of all archives, before they were compressed
	looked   int64 // what sent was when the time was looked at last
	reported time.Time
}

// NewStream makes the stream of a server of this major version. size is that of the payload of
// a message in bytes, as [FrameSize].
func NewStream(c Client, major, size int) *Stream {
	return &Stream{
		client: c, one: major >= firstOneStream, size: size, reported: time.Now(),
		frames: wire.NewFrameWriter(c.Out, size+1),
	}
}

// Begin is the beginning of the backup.
func (w *Stream) Begin() error {
	if w.one {
		return w.client.Send(&pgproto3.CopyOutResponse{})
	}
	return nil
}

// End is the end of the backup.
func (w *Stream) End() error {
	if w.one {
		return w.client.Send(&pgproto3.CopyDone{})
	}
	return nil
}

// beginArchive begins an archive: the data directory's, for which location is empty, or a
// tablespace's.
func (w *Stream) beginArchive(name, location string) error {
	if !w.one {
		return w.client.Send(&pgproto3.CopyOutResponse{})
	}
	message := append([]byte{'n'}, name...)
	message = append(message, 0)
	message = append(message, location...)
	return w.client.Send(&pgproto3.CopyData{Data: append(message, 0)})
}

// endArchive is the end of an archive.
func (w *Stream) endArchive() error {
	if err := w.flush(); err != nil {
		return err
	}
	if !w.one {
		return w.client.Send(&pgproto3.CopyDone{})
	}
	return w.progress()
}

// beginManifest begins the manifest, which follows the last archive.
func (w *Stream) beginManifest() error {
	if !w.one {
		return w.client.Send(&pgproto3.CopyOutResponse{})
	}
	return w.client.Send(&pgproto3.CopyData{Data: []byte{'m'}})
}

// endManifest is the end of the manifest.
func (w *Stream) endManifest() error {
	if err := w.flush(); err != nil {
		return err
	}
	if !w.one {
		return w.client.Send(&pgproto3.CopyDone{})
	}
	return nil
}

// endPart is the end of a header, a content or a padding. pg_basebackup up to 14 counts on
// each of them having messages of its own.
func (w *Stream) endPart() error {
	if w.one {
		return nil
	}
	return w.flush()
}

// count counts bytes of an archive, as they are before compression, and tells the client
// from time to time.
func (w *Stream) count(n int) error {
	w.sent += int64(n)
	if w.sent-w.looked < progressBytes {
		return nil
	}
	w.looked = w.sent
	if !w.one || time.Since(w.reported) < progressInterval {
		return nil
	}
	return w.progress()
}

// progress tells the client how much of the archives is done. What is gathered goes out
// later: the client does not mind the order.
func (w *Stream) progress() error {
	w.reported = time.Now()
	return w.client.Send(&pgproto3.CopyData{Data: binary.BigEndian.AppendUint64([]byte{'p'}, uint64(w.sent))})
}

// Write appends to the archive, or to the manifest.
func (w *Stream) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n := copy(w.frames.Buffer()[1+w.filled:], p[written:])
		w.filled += n
		written += n
		if w.filled == w.size {
			if err := w.flush(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// flush sends what is gathered.
func (w *Stream) flush() error {
	n := w.filled
	if n == 0 {
		return nil
	}
	w.filled = 0
	if err := w.client.Allow(n); err != nil {
		return err
	}
	from := 1
	if w.one {
		from = 0
		w.frames.Buffer()[0] = 'd'
	}
	return w.frames.WriteFrame(from, 1+n)
}
