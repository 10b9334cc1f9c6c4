package verify

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// readDirectory compares a data directory with the manifest: names and sizes first, then
// what is in the files, the largest first.
func (v *verification) readDirectory(ctx context.Context) error {
	var contents []*content
	if err := v.walk(ctx, "", func(c *content) { contents = append(contents, c) }); err != nil {
		return err
	}
	for _, p := range v.files.missing() {
		v.problemf(Missing, p, "%q is present in the manifest but not on disk", p)
	}
	slices.SortStableFunc(contents, func(a, b *content) int { return v.files.byPath[a.listed.Path] - v.files.byPath[b.listed.Path] })
	return v.each(ctx, len(contents), func(ctx context.Context, i int, buffer []byte) error {
		return v.readFile(ctx, contents[i], buffer)
	})
}

// walk takes what is on disk, below the directory and through the links of the tablespaces,
// and gives want the contents that are to be read.
func (v *verification) walk(ctx context.Context, path string, want func(*content)) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(v.dir, path))
	if err != nil {
		if path == "" {
			return fmt.Errorf("could not open directory %q: %w", v.dir, output.Cause(err))
		}
		v.problemf(Read, path, "could not open directory %q: %v", path, output.Cause(err))
		return nil
	}
	for _, entry := range entries {
		child := entry.Name()
		if path != "" {
			child = path + "/" + child
		}
		if v.ignored(child) {
			continue
		}
		// Not the entry's own information: links are followed, as
		// PostgreSQL itself does.
		info, err := os.Stat(filepath.Join(v.dir, child))
		switch {
		case err != nil:
			v.problemf(Read, child, "could not stat file or directory %q: %v", child, output.Cause(err))
		case info.IsDir():
			if err := v.walk(ctx, child, want); err != nil {
				return err
			}
		case !info.Mode().IsRegular():
			v.problemf(Read, child, "%q is not a file or directory", child)
		case v.isExtra(child):
			v.problemf(Extra, child, "%q is present on disk but not in the manifest", child)
		default:
			if c := v.found(child, info.Size(), ""); c != nil {
				want(c)
			}
		}
	}
	return nil
}

// readFile reads a file for its content. Its error is only ctx's.
func (v *verification) readFile(ctx context.Context, c *content, buffer []byte) error {
	path := c.listed.Path
	f, err := os.Open(filepath.Join(v.dir, path))
	if err != nil {
		v.problemf(Read, path, "could not open file %q: %v", path, output.Cause(err))
		return nil
	}
	defer f.Close()
	if _, err := io.CopyBuffer(c, contextReader{ctx, f}, buffer); err != nil {
		if ended := context.Cause(ctx); ended != nil {
			return ended
		}
		v.problemf(Read, path, "could not read file %q: %v", path, output.Cause(err))
		return nil
	}
	c.finish()
	return nil
}

// each calls do with the numbers below n, in their order, from v.Jobs goroutines, each of
// which has a buffer. It returns when all of them have ended, with the first error.
func (v *verification) each(ctx context.Context, n int, do func(ctx context.Context, i int, buffer []byte) error) error {
	group, ctx := errgroup.WithContext(ctx)
	next := make(chan int)
	group.Go(func() error { // ends when all numbers are taken, or with ctx
		defer close(next)
		for i := range n {
			select {
			case next <- i:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range min(v.Jobs, n) {
		group.Go(func() error { // ends when no number is left, or with the first error
			buffer := make([]byte, 128<<10)
			for i := range next {
				if err := do(ctx, i, buffer); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// contextReader is a reader that ends with a context. It has no other methods, so that
// io.CopyBuffer uses the buffer.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
