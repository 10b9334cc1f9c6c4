package client_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// The suffixes of archives, by the option that asks for them.
const (
	gzipSuffix = ".gz"
	lz4Suffix  = ".lz4"
	zstdSuffix = ".zst"
)

// decompressed reads what a compressed file holds: with the tool of its format where that
// is installed, else with a library.
func decompressed(t *testing.T, path string) io.Reader {
	t.Helper()
	tools := map[string]string{gzipSuffix: "gzip", lz4Suffix: "lz4", zstdSuffix: "zstd"}
	in, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { in.Close() })
	name, found := tools[filepath.Ext(path)]
	if !found {
		return in
	}
	if _, err := exec.LookPath(name); err == nil {
		out, err := os.Create(filepath.Join(t.TempDir(), "decompressed"))
		must(t, err)
		t.Cleanup(func() { out.Close() })
		command := exec.Command(name, "-d", "-c")
		command.Stdin, command.Stdout, command.Stderr = in, out, os.Stderr
		must(t, command.Run())
		_, err = out.Seek(0, io.SeekStart)
		must(t, err)
		return out
	}
	return library(t, in, filepath.Ext(path))
}

// library decompresses without any tool.
func library(t *testing.T, in io.Reader, suffix string) io.Reader {
	t.Helper()
	switch suffix {
	case gzipSuffix:
		r, err := gzip.NewReader(in)
		must(t, err)
		return r
	case lz4Suffix:
		return lz4.NewReader(in)
	case zstdSuffix:
		r, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
		must(t, err)
		t.Cleanup(r.Close)
		return r
	}
	return in
}

// extract unpacks an archive with Go's reader, and returns the members' headers in
// their order.
func extract(t *testing.T, archive io.Reader, dir string) []*tar.Header {
	t.Helper()
	var headers []*tar.Header
	r := tar.NewReader(archive)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return headers
		}
		must(t, err)
		headers = append(headers, h)
		path := filepath.Join(dir, h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			must(t, os.MkdirAll(path, h.FileInfo().Mode().Perm()))
		case tar.TypeSymlink:
			must(t, os.Symlink(h.Linkname, path))
		default:
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, h.FileInfo().Mode().Perm())
			must(t, err)
			_, err = io.Copy(f, r)
			must(t, err)
			must(t, f.Close())
		}
	}
}
