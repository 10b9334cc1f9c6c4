package manifest

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/pgparallel/pgparallel/protocol"
)

// Options say what a [Writer] writes.
type Options struct {
	Version  int    // 1: PostgreSQL 13 to 16; 2: 17 and later
	Major    int    // the version of PostgreSQL in whose form positions are written: see [protocol.LSN.Text]
	SystemID uint64 // the cluster's system identifier, for version 2
	// ForceEncode writes every path in hexadecimal. Otherwise only those are
	// that are not UTF-8.
	ForceEncode bool
}

// Writer writes a backup_manifest, byte for byte as PostgreSQL does, file
// after file: its memory does not grow with their number. It does not notice a
// path that is added twice; a reader will.
type Writer struct {
	out     *bufio.Writer // to the file and the checksum
	file    *bufio.Writer // beyond the checksum: its own line
	sum     hash.Hash
	options Options
	line    []byte // kept from file to file
	time    lastTime
	files   int64
	err     error // the first, and the answer to every later call
}

// NewWriter begins a manifest. It writes to w through a buffer, which
// Close empties; w itself it never closes. An unknown version is the error of
// the first call.
func NewWriter(w io.Writer, o Options) *Writer {
	m := &Writer{sum: sha256.New(), options: o}
	m.file = bufio.NewWriterSize(w, 64<<10)
	m.out = bufio.NewWriterSize(io.MultiWriter(m.file, m.sum), 4<<10)
	switch o.Version {
	case version1:
		fmt.Fprintf(m.out, "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [")
	case version2:
		fmt.Fprintf(m.out, "{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": %d,\n\"Files\": [", o.SystemID)
	default:
		m.err = fmt.Errorf("unsupported backup manifest version %d", o.Version)
	}
	return m
}

var errClosed = errors.New("backup manifest is closed")

// AddFile appends a file. A path against [protocol.CheckPath], a negative size, and a
// checksum whose length does not fit its algorithm are errors that leave the
// manifest as it was; an error of the writer beneath is the answer to every
// later call as well.
func (m *Writer) AddFile(f File) error {
	if m.err != nil {
		return m.err
	}
	if err := protocol.CheckPath(f.Path); err != nil {
		return fmt.Errorf("could not add file to backup manifest: %w", err)
	}
	if f.Size < 0 || len(f.Checksum) != f.Algorithm.Size() {
		return fmt.Errorf("could not add file %q to backup manifest: size %d, %s checksum of %d bytes",
			protocol.Shorten(f.Path, 256), f.Size, f.Algorithm, len(f.Checksum))
	}
	separator := ",\n"
	if m.files == 0 {
		separator = "\n"
	}
	m.files++
	m.line = append(m.line[:0], separator...)
	m.line = m.appendFile(m.line, f)
	return m.write(m.line)
}

// Close ends the list of files, writes the ranges, the newest timeline first, and
// the manifest's own checksum, and empties the buffer. Later calls are errors.
func (m *Writer) Close(ranges ...WALRange) error {
	if m.err != nil {
		return m.err
	}
	text := []byte("\n],\n\"WAL-Ranges\": [\n")
	for i, r := range ranges {
		if i > 0 {
			text = append(text, ",\n"...)
		}
		text = fmt.Appendf(text, `{ "Timeline": %d, "Start-LSN": "%s", "End-LSN": "%s" }`,
			r.Timeline, r.Start.Text(m.options.Major), r.End.Text(m.options.Major))
	}
	text = append(text, "\n],\n"...)
	if err := m.write(text); err != nil {
		return err
	}
	err := m.out.Flush()
	if err == nil {
		fmt.Fprintf(m.file, "\"Manifest-Checksum\": \"%x\"}\n", m.sum.Sum(nil))
		err = m.file.Flush()
	}
	if err != nil {
		m.err = fmt.Errorf("could not write backup manifest: %w", err)
		return m.err
	}
	m.err = errClosed
	return nil
}

func (m *Writer) write(b []byte) error {
	if _, err := m.out.Write(b); err != nil {
		m.err = fmt.Errorf("could not write backup manifest: %w", err)
	}
	return m.err
}

func (m *Writer) appendFile(b []byte, f File) []byte {
	if m.options.ForceEncode || !utf8.ValidString(f.Path) {
		b = append(b, `{ "Encoded-Path": "`...)
		b = hex.AppendEncode(b, []byte(f.Path))
		b = append(b, '"')
	} else {
		b = append(b, `{ "Path": `...)
		b = appendJSONString(b, f.Path)
	}
	b = append(b, `, "Size": `...)
	b = strconv.AppendInt(b, f.Size, 10)
	b = append(b, `, "Last-Modified": "`...)
	b = append(b, m.time.text(f.ModTime)...)
	b = append(b, '"')
	if f.Algorithm != ChecksumNone {
		b = append(b, `, "Checksum-Algorithm": "`...)
		b = append(b, f.Algorithm.String()...)
		b = append(b, `", "Checksum": "`...)
		b = hex.AppendEncode(b, f.Checksum)
		b = append(b, '"')
	}
	return append(b, " }"...)
}

// lastTime is a time as it was written last: the files of a directory often have the same.
type lastTime struct {
	seconds int64
	written []byte // empty before the first
}

func (l *lastTime) text(t time.Time) []byte {
	t = protocol.FileTime(t)
	if len(l.written) == 0 || t.Unix() != l.seconds {
		l.seconds, l.written = t.Unix(), t.UTC().AppendFormat(l.written[:0], timeLayout)
	}
	return l.written
}

// appendJSONString quotes s as PostgreSQL's escape_json does: what JSON demands
// and not a character more.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
