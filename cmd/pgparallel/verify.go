package main

import (
	"errors"

	"github.com/pgparallel/pgparallel/client"
)

const verifyUsage = `pgparallel verify verifies a backup against the backup manifest.

Usage:
  pgparallel verify [OPTION]... BACKUPDIR

Options:
  -i, --ignore=RELATIVE_PATH  ignore indicated path
  -j, --jobs=NUM              read this many files at once (default: 1)
  -P, --progress              show progress information
  -q, --quiet                 do not print any output, except for errors
  -s, --skip-checksums        skip checksum verification
  -V, --version               output version information, then exit
  -?, --help                  show this help, then exit

The WAL of the backup is not read; pg_verifybackup does that. Nor are the
archives of -F t: unpack them first.
`

type verifyCommand struct {
	Ignore        []string `short:"i" sep:"none"`
	Jobs          jobCount `short:"j" default:"1"`
	Progress      bool     `short:"P"`
	Quiet         bool     `short:"q"`
	SkipChecksums bool     `short:"s"`
	Backupdir     string   `arg:"" optional:""`
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
		return err
	}
	for _, problem := range report.Problems {
		out.error(errors.New(problem.Message))
	}
	if len(report.Problems) > 0 {
		return errReported
	}
	if !c.Quiet {
		out.print("backup successfully verified\n")
	}
	return nil
}

func (c *verifyCommand) verify(out *console) (client.Report, error) {
	ctx, release := untilInterrupted(out)
	defer release()
	options := client.VerifyOptions{Jobs: int(c.Jobs), SkipChecksums: c.SkipChecksums, Ignore: c.Ignore}
	if c.Progress {
		line := newProgressLine(out)
		defer line.finish()
		options.Progress = line.update
	}
	return client.Verify(ctx, c.Backupdir, options)
}
