package verify

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// maxWindow is the largest window of zstd that archives may need, in bytes: that of
// zstd --long, which the zstd library takes by default.
const maxWindow = 128 << 20

// readArchives compares what is in the archives with the manifest, the largest archive
// first. That of the WAL is checkWAL's.
func (v *verification) readArchives(ctx context.Context) error {
	for _, name := range v.layout.others {
		if !v.ignored(name) {
			v.problemf(Extra, name, "file %q is not expected in a tar format backup", name)
		}
	}
	archives := slices.DeleteFunc(slices.Clone(v.layout.archives), func(a archive) bool { return a.wal })
	slices.SortStableFunc(archives, func(a, b archive) int { return cmp.Compare(b.size, a.size) })
	broken := make([]bool, len(archives))
	err := v.each(ctx, len(archives), func(ctx context.Context, i int, buffer []byte) error {
		err := v.readArchive(ctx, archives[i], buffer)
		if ended := context.Cause(ctx); ended != nil {
			return ended
		}
		if err != nil {
			broken[i] = true
			v.problemf(Read, archives[i].name, "could not read archive %q: %v", archives[i].name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.reportMissing(archives, broken)
	return nil
}

// readArchive compares what is in one archive. Of an archive that has nothing of the manifest
// that is told, and not each file.
func (v *verification) readArchive(ctx context.Context, a archive, buffer []byte) error {
	var extra []string
	others := 0
	err := walkArchive(ctx, filepath.Join(v.dir, a.name), func(h *tar.Header, r io.Reader) error {
		name, size := a.prefix()+h.Name, h.Size
		if h.Typeflag != tar.TypeReg {
			// What is unpacked would have it in the place of a file, or files behind it.
			if h.Typeflag != tar.TypeSymlink || !isTablespaceLink(name) {
				v.problemf(Extra, name, "%q in archive %q is neither a file nor a directory", name, a.name)
			}
			return nil
		}
		if v.isExtra(name) {
			extra = append(extra, name)
			return nil
		}
		others++
		c := v.found(name, size, a.name)
		if c == nil {
			return nil
		}
		if _, err := io.CopyBuffer(c, contextReader{ctx, r}, buffer); err != nil {
			return err
		}
		c.finish()
		return nil
	})
	if others == 0 && len(extra) > 1 {
		v.problemf(Extra, a.name, "none of the %d files in archive %q is in the manifest", len(extra), a.name)
		return err
	}
	for _, name := range extra {
		v.problemf(Extra, name, "file %q is present in archive %q but not in the manifest", name, a.name)
	}
	return err
}

// reportMissing tells which files of the manifest no archive has. Where an archive is not
// there, or could not be read, or has none of its files, that is told, and not each file.
func (v *verification) reportMissing(archives []archive, broken []bool) {
	listed, missing := map[string]int{}, map[string][]string{}
	for i, f := range v.files.listed {
		part := partOf(f.Path)
		listed[part]++
		if !v.files.seen[i] {
			missing[part] = append(missing[part], f.Path)
		}
	}
	for part, paths := range missing {
		i := slices.IndexFunc(archives, func(a archive) bool { return a.tablespace == part })
		switch {
		case i < 0 && part != "":
			v.problemf(Missing, part+".tar", "archive %q is missing: %d files of the manifest are in no archive", part+".tar", len(paths))
		case i < 0:
			v.problemf(Missing, "base.tar", "archive %q is missing: %d files of the manifest are in no archive", "base.tar", len(paths))
		case broken[i] || len(paths) == listed[part] && len(paths) > 1:
			v.problemf(Missing, archives[i].name, "%d of %d files of the manifest were not found in archive %q", len(paths), listed[part], archives[i].name)
		default:
			for _, p := range paths {
				v.problemf(Missing, p, "%q is present in the manifest but not on disk", p)
			}
		}
	}
}

// partOf is the OID of the tablespace that a path belongs to; empty: of the data directory.
func partOf(p string) string {
	oid, _, _ := strings.Cut(strings.TrimPrefix(p, "pg_tblspc/"), "/")
	if len(oid) == len(p) || !strings.HasPrefix(p, "pg_tblspc/") {
		return ""
	}
	return oid
}

// isTablespaceLink reports whether a path is where the link of a tablespace is. Archives
// that were made by other programs than PostgreSQL's may have such links.
func isTablespaceLink(name string) bool {
	oid, found := strings.CutPrefix(name, "pg_tblspc/")
	return found && oid != "" && strings.Trim(oid, "0123456789") == ""
}

// walkArchive reads an archive to its end, and calls visit for each member but directories,
// with a clean name. The reader is valid until visit returns.
func walkArchive(ctx context.Context, name string, visit func(h *tar.Header, r io.Reader) error) error {
	f, err := os.Open(name)
	if err != nil {
		return output.Cause(err)
	}
	defer f.Close()
	r, err := decompress(name, f)
	if err != nil {
		return readable(err)
	}
	if closer, ok := r.(io.Closer); ok && r != io.Reader(f) {
		defer closer.Close()
	}
	if err := walkTar(ctx, tar.NewReader(r), visit); err != nil {
		return readable(err)
	}
	// What comes behind the end of the archive counts for nothing, but that it can be read.
	_, err = io.Copy(io.Discard, contextReader{ctx, r})
	return readable(err)
}

func walkTar(ctx context.Context, t *tar.Reader, visit func(h *tar.Header, r io.Reader) error) error {
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		h.Name = path.Clean(h.Name)
		if err := visit(h, t); err != nil {
			return err
		}
	}
}

// decompress is the tar file in a file, by its name. What it returns may be an io.Closer.
func decompress(name string, f *os.File) (io.Reader, error) {
	switch filepath.Ext(name) {
	case ".gz", ".tgz":
		return gzip.NewReader(f)
	case ".lz4":
		return lz4.NewReader(f), nil
	case ".zst":
		d, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return f, nil // a reader that can seek: what is not wanted is passed over
}

// readable is an error of reading an archive in PostgreSQL's words.
func readable(err error) error {
	switch {
	case errors.Is(err, tar.ErrHeader):
		return errors.New("input file does not appear to be a valid tar archive")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the archive ends too early")
	case err != nil:
		return fmt.Errorf("could not decompress data: %w", output.Cause(err))
	}
	return nil
}
