package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// Config says how to verify a backup. All but the functions may be zero.
type Config struct {
	Format        Format
	Jobs          int      // goroutines; 0 means 1
	SkipChecksums bool     // only names and sizes are compared
	Ignore        []string // paths, relative to the backup, that are ignored with all that they hold
	ManifestPath  string   // empty: backup_manifest in the backup
	SkipWAL       bool     // the WAL is not read
	WALPath       string   // a directory or an archive with the WAL; empty: in the backup
	FirstOnly     bool     // the first problem ends the verification

	// Expect is told once how much there is to verify, and Done what has been verified
	// since the last call. Done is called by several goroutines.
	Expect func(files, bytes int64)
	Done   func(files, bytes int64)
}

// Kind says what is wrong with a backup.
type Kind int

// The kinds of problems.
const (
	Missing  Kind = iota // in the manifest, not in the backup; or a directory that a server needs
	Extra                // in the backup, not in the manifest
	Size                 // another size
	Checksum             // another checksum
	Read                 // could not be read, or is no file
	System               // pg_control is damaged, or another cluster's
	WAL                  // the WAL is not there, not whole or not the backup's
)

// Problem is something that is wrong with a backup.
type Problem struct {
	Kind    Kind
	Path    string // relative to the backup, with slashes
	Message string // in pg_verifybackup's words
	Hint    string // what there is to do; mostly empty
}

// Report is what a verification has found.
type Report struct {
	Files    int64     // files of the manifest that were looked at
	Bytes    int64     // bytes that were read for their checksums
	Problems []Problem // sorted by path; none: the backup is as it was taken
}

// errEnough ends a verification that is to end with the first problem.
var errEnough = errors.New("a problem was found")

// verification is a verification in progress.
type verification struct {
	Config
	dir      string
	layout   layout
	manifest *manifest.Manifest
	files    *files

	stop func(error) // ends the verification early

	mu       sync.Mutex
	problems []Problem
}

// Run verifies the backup in dir. Its error says that there was nothing to compare, or is
// that of ctx.
func Run(ctx context.Context, dir string, c Config) (Report, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	c.Jobs = max(c.Jobs, 1)
	v := &verification{Config: c, dir: dir, stop: stop}
	if err := v.open(); err != nil {
		return Report{}, err
	}
	for _, step := range []func(context.Context) error{v.readFiles, v.checkDirectories, v.checkControl, v.checkWAL} {
		err := step(ctx)
		if errors.Is(context.Cause(ctx), errEnough) {
			break
		}
		if err != nil {
			return Report{}, err
		}
	}
	slices.SortStableFunc(v.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind))
	})
	return Report{Files: v.files.count, Bytes: v.files.bytes.Load(), Problems: v.problems}, nil
}

// open finds out what there is to verify, and by what.
func (v *verification) open() error {
	var err error
	if v.layout, err = findLayout(v.dir, v.Format); err != nil {
		return err
	}
	if v.ManifestPath == "" {
		v.ManifestPath = filepath.Join(v.dir, output.ManifestFile)
	}
	if v.manifest, err = readManifest(v.ManifestPath); err != nil {
		return err
	}
	v.files = newFiles(v.manifest.Files, v.ignored)
	v.Expect(v.files.count, v.files.toSum(v.SkipChecksums))
	return nil
}

func readManifest(path string) (*manifest.Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("could not open file %q: %w", path, output.Cause(err))
	}
	defer f.Close()
	m, err := manifest.Read(f)
	if err != nil {
		return nil, fmt.Errorf("could not read file %q: %w", path, err)
	}
	return m, nil
}

// readFiles compares all files with the manifest.
func (v *verification) readFiles(ctx context.Context) error {
	if v.layout.format == Tar {
		return v.readArchives(ctx)
	}
	return v.readDirectory(ctx)
}

// problem notes what is wrong. It may be called by several goroutines.
func (v *verification) problem(p Problem) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.FirstOnly && len(v.problems) > 0 {
		return
	}
	v.problems = append(v.problems, p)
	if v.FirstOnly {
		v.stop(errEnough)
	}
}

func (v *verification) problemf(kind Kind, path, format string, args ...any) {
	v.problem(Problem{Kind: kind, Path: path, Message: fmt.Sprintf(format, args...)})
}
