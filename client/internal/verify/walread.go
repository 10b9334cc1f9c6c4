package verify

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// readWAL has the chains take what there is.
func (v *verification) readWAL(ctx context.Context, chains []*chain) error {
	if v.WALPath != "" {
		info, err := os.Stat(v.WALPath)
		if err != nil {
			return fmt.Errorf("could not open directory %q: %w", v.WALPath, output.Cause(err))
		}
		if !info.IsDir() {
			return readWALArchive(ctx, v.WALPath, chains)
		}
		if l, err := findLayout(v.WALPath, Any); err == nil && l.format == Tar {
			return readWALArchive(ctx, filepath.Join(v.WALPath, l.walArchive()), chains)
		}
		return v.readWALDirectory(ctx, chains, v.WALPath, filepath.Join(v.WALPath, output.WALFolder))
	}
	if v.layout.format == Tar {
		name := v.layout.walArchive()
		if name == "" {
			return nil
		}
		return readWALArchive(ctx, filepath.Join(v.dir, name), chains)
	}
	return v.readWALDirectory(ctx, chains, filepath.Join(v.dir, output.WALFolder))
}

// walArchive is the archive with the WAL: pg_wal.tar, or else base.tar; empty: neither is
// there.
func (l layout) walArchive() string {
	base := ""
	for _, a := range l.archives {
		switch {
		case a.wal:
			return a.name
		case a.prefix() == "":
			base = a.name
		}
	}
	return base
}

// readWALArchive reads the WAL in an archive, which may have it below pg_wal.
func readWALArchive(ctx context.Context, archive string, chains []*chain) error {
	buffer := make([]byte, 128<<10)
	err := walkArchive(ctx, archive, func(h *tar.Header, r io.Reader) error {
		if h.Typeflag != tar.TypeReg {
			if isTablespaceLink(h.Name) {
				return nil
			}
			return fmt.Errorf("%q in it is neither a file nor a directory", h.Name)
		}
		name := strings.TrimPrefix(h.Name, output.WALFolder+"/")
		for _, c := range chains {
			if err := c.take(name, h.Size, contextReader{ctx, r}, buffer); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("could not read archive %q: %w", filepath.Base(archive), err)
	}
	return nil
}

// readWALDirectory reads the WAL in the first of the directories that has each file.
func (v *verification) readWALDirectory(ctx context.Context, chains []*chain, dirs ...string) error {
	type file struct {
		chain *chain
		path  string
	}
	var wanted []file
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("could not open directory %q: %w", dir, output.Cause(err))
		}
		for _, entry := range entries {
			for _, c := range chains {
				_, segment := c.wants(entry.Name())
				if !segment && !c.wantsHistory(entry.Name()) || slices.ContainsFunc(wanted, func(f file) bool { return f.chain == c && filepath.Base(f.path) == entry.Name() }) {
					continue
				}
				wanted = append(wanted, file{c, filepath.Join(dir, entry.Name())})
			}
		}
	}
	return v.each(ctx, len(wanted), func(ctx context.Context, i int, buffer []byte) error {
		return wanted[i].chain.takeFile(ctx, wanted[i].path, buffer)
	})
}

func (c *chain) takeFile(ctx context.Context, path string, buffer []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("could not open file %q: %w", path, output.Cause(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("could not stat file %q: %w", path, output.Cause(err))
	}
	if err := c.take(filepath.Base(path), info.Size(), contextReader{ctx, f}, buffer); err != nil {
		return fmt.Errorf("could not read file %q: %w", path, output.Cause(err))
	}
	return nil
}
