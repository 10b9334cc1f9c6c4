package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgparallel/pgparallel/client"
)

const verifyUsage = `pgparallel verify verifies a backup against the backup manifest.

Usage:
  pgparallel verify [OPTION]... BACKUPDIR

Options:
  -e, --exit-on-error         exit immediately on error
  -F, --format=p|t            backup format (plain, tar; default: what it is)
  -i, --ignore=RELATIVE_PATH  ignore indicated path
  -j, --jobs=NUM              files, or archives, to read at once (default: 1)
  -m, --manifest-path=PATH    use specified path for manifest
  -n, --no-parse-wal          do not try to parse WAL files
  -P, --progress              show progress information
  -q, --quiet                 do not print any output, except for errors
  -s, --skip-checksums        skip checksum verification
  -w, --wal-path=PATH         use specified path for WAL files; up to 18 the
                              name is --wal-directory, which is taken, too

Other options:
  -V, --version               output version information, then exit
  -?, --help                  show this help, then exit

The options are those of pg_verifybackup, -j besides. Archives (-F t) are read
as they are, compressed by gzip, lz4 or zstd or not; nothing is unpacked.
`

// backupFormat is the value of -F.
type backupFormat client.BackupFormat

// UnmarshalText is called by the parser.
func (f *backupFormat) UnmarshalText(text []byte) error {
	switch string(text) {
	case "p", "plain":
		*f = backupFormat(client.FormatPlain)
	case "t", "tar":
		*f = backupFormat(client.FormatTar)
	default:
		return usagef(`invalid backup format %q, must be "plain" or "tar"`, text)
	}
	return nil
}

type verifyCommand struct {
	ExitOnError   bool         `short:"e"`
	Format        backupFormat `short:"F"`
	Ignore        []string     `short:"i" sep:"none"`
	Jobs          jobCount     `short:"j" default:"1"`
	ManifestPath  string       `short:"m"`
	NoParseWal    bool         `short:"n" name:"no-parse-wal"`
	Progress      bool         `short:"P"`
	Quiet         bool         `short:"q"`
	SkipChecksums bool         `short:"s"`
	WALPath       string       `short:"w" name:"wal-path" aliases:"wal-directory"`
	Backupdir     string       `arg:"" optional:""`
}

func (*verifyCommand) usage() string { return verifyUsage }

func (c *verifyCommand) run(out *console) error {
	if c.Backupdir == "" {
		return usagef("no backup directory specified")
	}
	if c.Progress && c.Quiet {
		return usagef("cannot specify both -P/--progress and -q/--quiet")
	}
	report, err := c.verify(out)
	if err != nil {
		hint := c.hint(err)
		if hint == "" {
			return err
		}
		out.error(err)
		out.hint(hint)
		return errReported
	}
	for _, problem := range report.Problems {
		out.error(errors.New(problem.Message))
		if problem.Hint != "" {
			out.hint(problem.Hint)
		}
	}
	if len(report.Problems) > 0 {
		return errReported
	}
	if !c.Quiet {
		out.print("backup successfully verified\n")
	}
	return nil
}

// hint is what there is to do about an error; empty if there is nothing.
func (c *verifyCommand) hint(err error) string {
	info, failed := os.Stat(c.Backupdir)
	switch {
	case failed != nil:
		return ""
	case !info.IsDir():
		return "Give the directory of the backup, also of one in tar format."
	case c.ManifestPath == "" && errors.Is(err, fs.ErrNotExist) && !isThere(c.Backupdir, "backup_manifest"):
		return "The directory holds no backup, or one whose manifest is elsewhere: name that with -m."
	}
	return ""
}

func (c *verifyCommand) verify(out *console) (client.Report, error) {
	ctx, release := untilInterrupted(out)
	defer release()
	options := client.VerifyOptions{
		Format: client.BackupFormat(c.Format), Jobs: int(c.Jobs), SkipChecksums: c.SkipChecksums, Ignore: c.Ignore, FirstOnly: c.ExitOnError,
		ManifestPath: c.ManifestPath, SkipWAL: c.NoParseWal, WALPath: c.WALPath,
	}
	if c.Progress {
		line := newProgressLine(out)
		defer line.finish()
		options.Progress = line.update
	}
	return client.Verify(ctx, c.Backupdir, options)
}

func isThere(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}
