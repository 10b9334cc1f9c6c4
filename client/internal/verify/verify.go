package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pgparallel/pgparallel/client/internal/datatree"
	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// verification is a verification in progress.
type verification struct {
	VerifyOptions
	dir      string
	files    []manifest.File // the largest first
	byPath   map[string]int  // index in files of those that were not seen on disk
	usable   []bool          // by index: is there, with the right size
	progress progress

	mu     sync.Mutex
	report Report
}

func newVerification(dir string, o VerifyOptions) (*verification, error) {
	f, err := os.Open(filepath.Join(dir, output.ManifestFile))
	if err != nil {
		return nil, fmt.Errorf("could not open file %q: %w", filepath.Join(dir, output.ManifestFile), output.Cause(err))
	}
	defer f.Close()
	m, err := manifest.Read(f)
	if err != nil {
		return nil, fmt.Errorf("could not read file %q: %w", f.Name(), err)
	}
	slices.SortStableFunc(m.Files, func(a, b manifest.File) int { return cmp.Compare(b.Size, a.Size) })
	if o.Jobs <= 0 {
		o.Jobs = 1
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	v := &verification{VerifyOptions: o, dir: dir, files: m.Files, byPath: make(map[string]int, len(m.Files)), usable: make([]bool, len(m.Files))}
	for i, f := range m.Files {
		v.byPath[f.Path] = i
		if !v.ignored(f.Path) {
			v.report.Files++
		}
	}
	v.progress.totalFiles.Store(v.report.Files)
	return v, nil
}

// ignored reports whether a path is none of the verification's business.
func (v *verification) ignored(path string) bool {
	for _, parent := range []string{output.ManifestFile, "pg_wal", "postgresql.auto.conf", "recovery.signal", "standby.signal"} {
		if datatree.Within(path, parent) {
			return true
		}
	}
	return slices.ContainsFunc(v.Ignore, func(parent string) bool { return datatree.Within(path, parent) })
}

// walk compares what is on disk, below the directory and through the links of the
// tablespaces, with the manifest: names and sizes.
func (v *verification) walk(ctx context.Context, path string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(v.dir, path))
	if err != nil {
		if path == "" {
			return fmt.Errorf("could not open directory %q: %w", v.dir, output.Cause(err))
		}
		v.problem(ProblemRead, path, "could not open directory %q: %v", path, output.Cause(err))
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
			v.problem(ProblemRead, child, "could not stat file or directory %q: %v", child, output.Cause(err))
		case info.IsDir():
			if err := v.walk(ctx, child); err != nil {
				return err
			}
		case !info.Mode().IsRegular():
			v.problem(ProblemRead, child, "%q is not a file or directory", child)
		default:
			v.compareSize(child, info)
		}
	}
	return nil
}

func (v *verification) compareSize(path string, info fs.FileInfo) {
	i, listed := v.byPath[path]
	if !listed {
		v.problem(ProblemExtra, path, "%q is present on disk but not in the manifest", path)
		return
	}
	delete(v.byPath, path)
	if f := v.files[i]; info.Size() != f.Size {
		v.problem(ProblemSize, path, "%q has size %d on disk but size %d in the manifest", path, info.Size(), f.Size)
		return
	}
	v.usable[i] = true
	v.progress.totalBytes.Add(info.Size())
}

func (v *verification) reportMissing() {
	for path := range v.byPath {
		if !v.ignored(path) {
			v.problem(ProblemMissing, path, "%q is present in the manifest but not on disk", path)
		}
	}
}

// compareChecksums reads the files that are as long as they should be.
func (v *verification) compareChecksums(ctx context.Context) error {
	defer v.progress.report(v.Progress)()
	group, ctx := errgroup.WithContext(ctx)
	next := make(chan int)
	group.Go(func() error {
		defer close(next)
		for i := range v.files {
			if !v.usable[i] || v.files[i].Algorithm == manifest.ChecksumNone {
				continue
			}
			select {
			case next <- i:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range v.Jobs {
		group.Go(func() error {
			buffer := make([]byte, 128<<10)
			for i := range next {
				if err := v.compareChecksum(ctx, v.files[i], buffer); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// compareChecksum reads one file. Its error is only ctx's.
func (v *verification) compareChecksum(ctx context.Context, listed manifest.File, buffer []byte) error {
	f, err := os.Open(filepath.Join(v.dir, listed.Path))
	if err != nil {
		v.problem(ProblemRead, listed.Path, "could not open file %q: %v", listed.Path, output.Cause(err))
		return nil
	}
	defer f.Close()
	sum := listed.Algorithm.New()
	var read int64
	for {
		n, err := f.Read(buffer)
		sum.Write(buffer[:n])
		read += int64(n)
		v.progress.bytes.Add(int64(n))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			v.problem(ProblemRead, listed.Path, "could not read file %q: %v", listed.Path, output.Cause(err))
			return nil
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
	switch {
	case read != listed.Size:
		v.problem(ProblemSize, listed.Path, "file %q should contain %d bytes, but read %d bytes", listed.Path, listed.Size, read)
	case string(sum.Sum(nil)) != string(listed.Checksum):
		v.problem(ProblemChecksum, listed.Path, "checksum mismatch for file %q", listed.Path)
	}
	v.progress.files.Add(1)
	return nil
}

func (v *verification) problem(kind ProblemKind, path, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Problems = append(v.report.Problems, Problem{Kind: kind, Path: path, Message: fmt.Sprintf(format, args...)})
}
