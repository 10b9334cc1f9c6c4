package main

import (
	"errors"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

const demoUsage = `pgparallel demo makes a cluster, backs it up, and restores the backup.

Usage:
  pgparallel demo [OPTION]...

Options:
  -j, --jobs=NUM  use this many connections to copy files (default: 4)
  -V, --version   output version information, then exit
  -?, --help      show this help, then exit

The cluster is PostgreSQL's where PostgreSQL is installed, else a generated
sample that no server starts from. All is made in a new directory below TMPDIR,
of which the backup is left.
`

type demoCommand struct {
	Jobs jobCount `short:"j" default:"4"`
}

func (*demoCommand) usage() string { return demoUsage }

func (c *demoCommand) run(out *console) error {
	ctx, release := untilInterrupted(out)
	defer release()
	programs, err := postgres.Find()
	switch {
	case errors.Is(err, postgres.ErrNotFound):
		return demonstrate(ctx, out, sampleSource{}, int(c.Jobs))
	case err != nil:
		return err
	}
	return demonstrate(ctx, out, postgresSource{programs}, int(c.Jobs))
}
