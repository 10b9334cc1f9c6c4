package client

import "github.com/pgparallel/pgparallel/client/internal/tarball"

// Compression says how archives are compressed: by a Method, and with a Level, where more
// is smaller and slower, and 0 is the method's default; with CompressionZstd also in
// goroutines beside the connection's (Workers, of which more than one are no faster), and over
// a window of 128 MiB (LongDistance). The zero value does not compress. Its method Check
// reports an error where the Method does not exist, or has not what is asked of it.
type Compression = tarball.Compression

// CompressionMethod is a format of compressed files. Its String is the name of the method:
// "none", "gzip", "lz4" or "zstd".
type CompressionMethod = tarball.CompressionMethod

const (
	// CompressionNone leaves archives as they are. It is the default.
	CompressionNone = tarball.CompressionNone
	// CompressionGzip is gzip's format (.gz); levels 1 to 9.
	CompressionGzip = tarball.CompressionGzip
	// CompressionLZ4 is the frame format of lz4 (.lz4); levels 1 to 12.
	CompressionLZ4 = tarball.CompressionLZ4
	// CompressionZstd is the format of Zstandard (.zst); levels 1 to 22, of which some
	// come to the same.
	CompressionZstd = tarball.CompressionZstd
)
