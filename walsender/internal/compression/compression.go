// Package compression compresses the archives of a base backup on the server, as
// PostgreSQL does: the specification that a client sends (src/common/compression.c), and
// writers for the formats.
package compression

import (
	"cmp"
	"io"
	"runtime"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Spec says how archives are compressed. The zero value does not compress. [Parse] makes
// one whose values can be.
type Spec struct {
	Algorithm string // "", "none", "gzip", "lz4" or "zstd"
	Level     int    // defaultLevel for the algorithm's own
	Workers   int    // of zstd: how many blocks are compressed side by side; 0 for one
	Long      bool   // of zstd: matches over a large distance
}

// longWindow is how far a match may be away with long-distance matching: as much as every
// zstd decompresses without being asked to.
const longWindow = 1 << 27

// Enabled reports whether there is anything to compress.
func (s Spec) Enabled() bool { return s.Suffix() != "" }

// Suffix is what the name of a compressed archive ends with, as in base.tar.gz.
func (s Spec) Suffix() string {
	switch s.Algorithm {
	case "gzip":
		return ".gz"
	case "lz4":
		return ".lz4"
	case "zstd":
		return ".zst"
	}
	return ""
}

// Writer compresses one archive after the other: Reset begins one, Close ends it. Close
// must be called in any case, to end the writer's goroutines. It does not close what it
// writes to, and writes to it within Write and Close only.
type Writer interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// NewWriter makes a writer, which writes nowhere until Reset.
func (s Spec) NewWriter() (Writer, error) {
	switch s.Algorithm {
	case "gzip":
		return gzip.NewWriterLevel(io.Discard, s.Level)
	case "lz4":
		return newLZ4(s.Level)
	case "zstd":
		options := []zstd.EOption{
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(cmp.Or(s.Level, zstdDefault))),
			zstd.WithEncoderConcurrency(min(max(s.Workers, 1), runtime.GOMAXPROCS(0))),
		}
		if s.Long {
			options = append(options, zstd.WithWindowSize(longWindow))
		}
		encoder, err := zstd.NewWriter(nil, options...)
		if err != nil {
			return nil, err
		}
		return &parallel{encoder: encoder}, nil
	}
	return &uncompressed{}, nil
}

// newLZ4 has levels 0 to 2 for the fast method, as the lz4 library has.
func newLZ4(level int) (Writer, error) {
	levels := []lz4.CompressionLevel{
		lz4.Fast, lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9,
	}
	w := lz4.NewWriter(io.Discard)
	return w, w.Apply(lz4.CompressionLevelOption(levels[min(max(level-2, 0), len(levels)-1)]), lz4.ConcurrencyOption(1))
}

// uncompressed passes on what it gets.
type uncompressed struct{ io.Writer }

func (u *uncompressed) Reset(w io.Writer) { u.Writer = w }

func (u *uncompressed) Close() error { return nil }
