package main

import (
	"github.com/pgparallel/pgparallel/client"
)

const backupUsage = `pgparallel backup takes a base backup over parallel connections.

Usage:
  pgparallel backup [OPTION]...

Options controlling the output:
  -D, --pgdata=DIRECTORY receive base backup into directory
  -j, --jobs=NUM         use this many connections to copy files, and one more
                         to lead the backup (default: 1)
  -r, --max-rate=RATE    maximum transfer rate of all connections together
                         (in kB/s, or use suffix "k" or "M")
  -T, --tablespace-mapping=OLDDIR=NEWDIR
                         relocate tablespace in OLDDIR to NEWDIR
  -X, --wal-method=none|fetch
                         include required WAL files with specified method
                         (default: fetch)

General options:
  -c, --checkpoint=fast|spread
                         set fast or spread checkpointing (default: spread)
  -l, --label=LABEL      set backup label
  -n, --no-clean         do not clean up after errors
  -N, --no-sync          do not wait for changes to be written safely to disk
  -P, --progress         show progress information
  -v, --verbose          output verbose messages
  -V, --version          output version information, then exit
      --manifest-checksums=SHA{224,256,384,512}|CRC32C|NONE
                         use algorithm for manifest checksums
      --no-manifest      suppress generation of backup manifest
      --no-verify-checksums
                         do not verify checksums
  -?, --help             show this help, then exit

Connection options:
  -d, --dbname=CONNSTR   connection string
  -h, --host=HOSTNAME    server host or socket directory
  -p, --port=PORT        server port number
  -U, --username=NAME    connect as specified database user

The environment variables, the service file and the password file of libpq are
used as by PostgreSQL's own programs.
`

type backupCommand struct {
	Pgdata            string              `short:"D"`
	Jobs              jobCount            `short:"j" default:"1"`
	MaxRate           transferRate        `short:"r"`
	TablespaceMapping []tablespaceMapping `short:"T" sep:"none"`
	WALMethod         walMethod           `name:"wal-method" short:"X"`

	Checkpoint        checkpointMode `short:"c"`
	Label             string         `short:"l"`
	NoClean           bool           `short:"n"`
	NoSync            bool           `short:"N"`
	Progress          bool           `short:"P"`
	Verbose           bool           `short:"v"`
	ManifestChecksums checksumAlgorithm
	NoManifest        bool
	NoVerifyChecksums bool

	connectionOptions
}

func (*backupCommand) usage() string { return backupUsage }

func (c *backupCommand) run(out *console) error {
	options, err := c.options(out)
	if err != nil {
		return err
	}
	ctx, release := untilInterrupted()
	defer release()
	if c.Progress {
		line := newProgressLine(out)
		defer line.finish()
		options.Progress = line.update
	}
	_, err = client.Backup(ctx, options)
	return err
}

func (c *backupCommand) options(out *console) (client.Options, error) {
	if c.Pgdata == "" {
		return client.Options{}, usagef("no target directory specified")
	}
	tablespaces, err := tablespaceMap(c.TablespaceMapping)
	if err != nil {
		return client.Options{}, err
	}
	config, err := c.config()
	if err != nil {
		return client.Options{}, err
	}
	return client.Options{
		ConnConfig:        config,
		Dir:               c.Pgdata,
		Jobs:              int(c.Jobs),
		Label:             c.Label,
		FastCheckpoint:    c.Checkpoint.fast,
		MaxRate:           int(c.MaxRate),
		WAL:               c.WALMethod.WALMethod,
		TablespaceMap:     tablespaces,
		ManifestChecksums: c.ManifestChecksums.ChecksumAlgorithm,
		NoManifest:        c.NoManifest,
		NoVerifyChecksums: c.NoVerifyChecksums,
		NoSync:            c.NoSync,
		NoClean:           c.NoClean,
		Log:               func(e client.Event) { tell(out, e, c.Verbose) },
	}, nil
}

// tell prints an event of a backup.
func tell(out *console, e client.Event, verbose bool) {
	switch {
	case e.Level == client.LevelWarning:
		out.warning(e.Message)
	case e.Level == client.LevelInfo || verbose:
		out.info(e.Message)
	default:
		return
	}
	if e.Notice != nil {
		out.explanation(e.Notice)
	}
}
