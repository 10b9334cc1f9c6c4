package tarball

import (
	"cmp"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// CompressionMethod is a format of compressed files.
type CompressionMethod int

const (
	// CompressionNone leaves archives as they are. It is the default.
	CompressionNone CompressionMethod = iota
	// CompressionGzip is gzip's format (.gz); levels 1 to 9.
	CompressionGzip
	// CompressionLZ4 is the frame format of lz4 (.lz4); levels 1 to 12.
	CompressionLZ4
	// CompressionZstd is the format of Zstandard (.zst); levels 1 to 22, of which some
	// come to the same.
	CompressionZstd
)

// Compression says how archives are compressed. The zero value does not compress.
type Compression struct {
	Method CompressionMethod
	Level  int // more is smaller and slower; 0 means the method's default
	// Workers has each connection compress in goroutines of its own while it receives
	// more: only with CompressionZstd, where more than one are no faster.
	Workers int
	// LongDistance looks for repetitions in the last 128 MiB, not in the last few:
	// only with CompressionZstd. It takes some 300 MiB of memory a connection.
	LongDistance bool
}

// compressionMethod describes a CompressionMethod.
type compressionMethod struct {
	name, suffix string
	levels       int // 1 to that
	open         func(c Compression) (compressor, error)
}

// compressor writes parts of an archive: Reset begins a part, Close ends it. In formats with
// frames a part is a frame.
type compressor interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// method is nil for a value that is no method.
func (c Compression) method() *compressionMethod {
	switch c.Method {
	case CompressionNone:
		return &compressionMethod{name: "none", open: func(Compression) (compressor, error) { return &uncompressed{}, nil }}
	case CompressionGzip:
		return &compressionMethod{name: "gzip", suffix: ".gz", levels: 9, open: openGzip}
	case CompressionLZ4:
		return &compressionMethod{name: "lz4", suffix: ".lz4", levels: 12, open: openLZ4}
	case CompressionZstd:
		return &compressionMethod{name: "zstd", suffix: ".zst", levels: 22, open: openZstd}
	}
	return nil
}

// String is the method's name: "none", "gzip", "lz4" or "zstd".
func (m CompressionMethod) String() string {
	if method := (Compression{Method: m}).method(); method != nil {
		return method.name
	}
	return fmt.Sprintf("CompressionMethod(%d)", int(m))
}

// Check reports an error where Method is no method, or has no such Level, no Workers or no
// LongDistance.
func (c Compression) Check() error {
	m := c.method()
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("invalid compression specification: "+format, args...)
	}
	switch {
	case m == nil:
		return invalid("there is no method %d", c.Method)
	case c.Level != 0 && m.levels == 0:
		return invalid("compression algorithm %q does not accept a compression level", m.name)
	case c.Level < 0 || c.Level > m.levels:
		return invalid("compression algorithm %q expects a compression level between 1 and %d", m.name, m.levels)
	case c.Workers != 0 && c.Method != CompressionZstd:
		return invalid("compression algorithm %q does not accept a worker count", m.name)
	case c.Workers < 0:
		return invalid("the worker count must not be negative")
	case c.LongDistance && c.Method != CompressionZstd:
		return invalid("compression algorithm %q does not support long-distance mode", m.name)
	}
	return nil
}

func (c Compression) suffix() string { return c.method().suffix }

func (c Compression) compressor() (compressor, error) {
	w, err := c.method().open(c)
	if err != nil {
		return nil, fmt.Errorf("could not initialize %s compression: %w", c.method().name, err)
	}
	return w, nil
}

// uncompressed is a compressor that passes on what it gets.
type uncompressed struct{ io.Writer }

func (u *uncompressed) Reset(w io.Writer) { u.Writer = w }

func (u *uncompressed) Close() error { return nil }

func openGzip(c Compression) (compressor, error) {
	w, err := flate.NewWriter(io.Discard, cmp.Or(c.Level, flate.DefaultCompression))
	if err != nil {
		return nil, err
	}
	return &deflater{Writer: w}, nil
}

// openLZ4 has levels 1 and 2 for the fast method, as the lz4 library has.
func openLZ4(c Compression) (compressor, error) {
	levels := []lz4.CompressionLevel{
		lz4.Fast, lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9,
	}
	w := lz4.NewWriter(io.Discard)
	// No goroutines: the workers are parallel. A checksum, so that lz4 -t finds damage.
	err := w.Apply(lz4.CompressionLevelOption(levels[min(max(c.Level-2, 0), len(levels)-1)]),
		lz4.ConcurrencyOption(1), lz4.ChecksumOption(true))
	return w, err
}

func openZstd(c Compression) (compressor, error) {
	level := zstd.EncoderLevelFromZstd(cmp.Or(c.Level, 3)) // Zstandard's own default
	options := []zstd.EOption{
		zstd.WithEncoderLevel(level), zstd.WithEncoderCRC(true), // as in openLZ4
		zstd.WithEncoderConcurrency(1 + min(c.Workers, 1)), // a stream is no faster with more
	}
	if c.LongDistance {
		options = append(options, zstd.WithWindowSize(longDistance))
	}
	return zstd.NewWriter(nil, options...)
}

// longDistance is Zstandard's own window for that, and the most that zstd unpacks unasked.
const longDistance = 128 << 20
