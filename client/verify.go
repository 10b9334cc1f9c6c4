package client

import (
	"cmp"
	"context"
	"slices"
)

// VerifyOptions say how to verify a backup. The zero value is pg_verifybackup's
// default, with one goroutine.
type VerifyOptions struct {
	Jobs          int      // goroutines that read files; 0 means 1
	SkipChecksums bool     // only names and sizes are compared
	Ignore        []string // further paths to ignore, with all that they hold; relative to the backup, with slashes
	// Progress is told how far the verification has come, as [Options.Progress] is.
	Progress func(Progress)
}

// ProblemKind says how a backup differs from its manifest.
type ProblemKind int

// The kinds of problems.
const (
	ProblemMissing  ProblemKind = iota // in the manifest, not on disk
	ProblemExtra                       // on disk, not in the manifest
	ProblemSize                        // another size
	ProblemChecksum                    // another checksum
	ProblemRead                        // could not be read, or is no file
)

// Problem is one difference between a backup and its manifest.
type Problem struct {
	Kind    ProblemKind
	Path    string // relative to the backup, with slashes
	Message string // in pg_verifybackup's words
}

// Report is what [Verify] found.
type Report struct {
	Files    int64     // files of the manifest that were looked at
	Bytes    int64     // bytes that were read for their checksums
	Problems []Problem // sorted by path; none: the backup is as it was taken
}

// Verify compares the backup in dir with its backup_manifest, and reports all
// problems, not only the first. A problem is no error: the error says that there was no
// comparison (no manifest, one that is damaged, a context that ended).
//
// It ignores what pg_verifybackup does: backup_manifest, all of pg_wal,
// postgresql.auto.conf, recovery.signal and standby.signal. Of the WAL it says
// nothing: pg_waldump can tell whether the ranges of the manifest are there.
func Verify(ctx context.Context, dir string, o VerifyOptions) (Report, error) {
	v, err := newVerification(dir, o)
	if err != nil {
		return Report{}, err
	}
	if err := v.walk(ctx, ""); err != nil {
		return Report{}, err
	}
	v.reportMissing()
	if !o.SkipChecksums {
		if err := v.compareChecksums(ctx); err != nil {
			return Report{}, err
		}
	}
	v.report.Bytes = v.progress.bytes.Load()
	slices.SortFunc(v.report.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind))
	})
	return v.report, nil
}
