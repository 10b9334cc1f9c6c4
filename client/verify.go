package client

import (
	"context"

	"github.com/pgparallel/pgparallel/client/internal/verify"
)

// VerifyOptions say how to verify a backup. The zero value is pg_verifybackup's
// default, with one goroutine.
type VerifyOptions struct {
	Format        BackupFormat // the zero value finds out
	Jobs          int          // goroutines that read files, or an archive each; 0 means 1
	SkipChecksums bool         // only names and sizes are compared
	Ignore        []string     // further paths to ignore, with all that they hold; relative to the backup, with slashes
	ManifestPath  string       // the manifest; empty: backup_manifest in the backup
	SkipWAL       bool         // the WAL is not read
	// WALPath is where the WAL is: a directory, or an archive (.tar, .tar.gz, .tgz,
	// .tar.lz4, .tar.zst). Empty: in the backup's own pg_wal, pg_wal.tar or base.tar.
	WALPath string
	// FirstOnly ends the verification with the first problem that is found.
	FirstOnly bool
	// Progress is told how far the verification has come, as [Options.Progress] is.
	Progress func(Progress)
}

// BackupFormat is what a backup was written as.
type BackupFormat = verify.Format

const (
	// FormatAny is the default of [VerifyOptions]: what is in the directory tells the
	// format.
	FormatAny = verify.Any
	// FormatPlain is a data directory.
	FormatPlain = verify.Plain
	// FormatTar is archives, compressed or not.
	FormatTar = verify.Tar
)

// ProblemKind says what is wrong with a backup.
type ProblemKind = verify.Kind

// The kinds of problems.
const (
	ProblemMissing  = verify.Missing  // in the manifest, not in the backup
	ProblemExtra    = verify.Extra    // in the backup, not in the manifest
	ProblemSize     = verify.Size     // another size
	ProblemChecksum = verify.Checksum // another checksum
	ProblemRead     = verify.Read     // could not be read, or is no file
	ProblemSystem   = verify.System   // pg_control is damaged, or another cluster's
	ProblemWAL      = verify.WAL      // the WAL is not there, not whole or not the backup's
)

// Problem is something that is wrong with a backup: its Kind, the Path that it is about
// (relative to the backup, with slashes; of archives the name of the file), the Message, in
// pg_verifybackup's words, and mostly no Hint.
type Problem = verify.Problem

// Report is what [Verify] found: how many Files of the manifest it looked at, how many Bytes
// it read for their checksums, and the Problems, sorted by path. Without problems the backup
// is as it was taken.
type Report = verify.Report

// Verify compares the backup in dir, a data directory or tar archives, with its
// backup_manifest, and reports all problems, not only the first. Archives are read as they
// are. A problem is no error: the error says that there was no comparison (no manifest, one
// that is damaged, a backup that is not finished, a context that ended).
//
// It ignores the files that pg_verifybackup ignores: backup_manifest, all of pg_wal,
// postgresql.auto.conf, recovery.signal and standby.signal. Of the WAL that the manifest
// names it makes sure that it is there, in whole segments, of this cluster and its
// timelines, with records in a row from the start to the end, the checkpoint that recovery
// begins with, and the end of the backup. What the records say is not looked at. A
// manifest that names no WAL needs none.
func Verify(ctx context.Context, dir string, o VerifyOptions) (Report, error) {
	var p progress
	if o.Progress != nil {
		defer p.report(o.Progress)()
	}
	return verify.Run(ctx, dir, verify.Config{
		Format: o.Format, Jobs: o.Jobs, SkipChecksums: o.SkipChecksums, Ignore: o.Ignore, ManifestPath: o.ManifestPath,
		SkipWAL: o.SkipWAL, WALPath: o.WALPath, FirstOnly: o.FirstOnly,
		Expect: func(files, bytes int64) {
			p.totalFiles.Store(files)
			p.totalBytes.Store(bytes)
		},
		Done: func(files, bytes int64) {
			p.files.Add(files)
			p.bytes.Add(bytes)
		},
	})
}
