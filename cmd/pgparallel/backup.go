package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pgparallel/pgparallel/client"
)

const backupUsage = `pgparallel backup takes a base backup over parallel connections.

Usage:
  pgparallel backup [OPTION]...

Options controlling the output:
  -D, --pgdata=DIRECTORY receive base backup into directory
  -F, --format=p|t       output format (plain (default), tar); a tar backup to
                         the directory "-" goes to standard output
  -j, --jobs=NUM         use this many connections to copy files (default: 1);
                         one more leads the backup, and one receives the WAL
                         if it is streamed
  -r, --max-rate=RATE    maximum transfer rate of all connections together
                         (in kB/s, or use suffix "k" or "M")
  -R, --write-recovery-conf
                         write configuration for replication: a standby of
                         the PostgreSQL that is backed up
      --primary-conninfo=CONNSTR
                         what -R writes as primary_conninfo (default: where the
                         server says PostgreSQL is, with the user, the password
                         file and the options of this connection)
  -T, --tablespace-mapping=OLDDIR=NEWDIR
                         relocate tablespace in OLDDIR to NEWDIR
      --waldir=WALDIR    location for the write-ahead log directory
  -t, --target=client    accepted for scripts; client is the only target
  -X, --wal-method=none|fetch|stream
                         include required WAL files with specified method
                         (default: stream from a running cluster, else fetch)
  -z, --gzip             compress tar output
  -Z, --compress=[client-]METHOD[:DETAIL]
                         compress tar output with gzip (1 to 9), lz4 (1 to 12)
                         or zstd (1 to 22); 0 or none for not at all. DETAIL is
                         a level, or level=N, and for zstd workers=N and long,
                         separated by commas

General options:
  -c, --checkpoint=fast|spread
                         set fast or spread checkpointing (default: spread)
  -C, --create-slot      create replication slot
  -l, --label=LABEL      set backup label
  -n, --no-clean         do not clean up after errors
  -N, --no-sync          do not wait for changes to be written safely to disk
  -P, --progress         show progress information
  -S, --slot=SLOTNAME    replication slot to use
  -v, --verbose          output verbose messages
      --dry-run          show what would be done, and do nothing
      --force            remove what a killed backup has left in the directories
      --in-place         with --refresh: change the old backup where it is;
                         until the new one is complete, there is no backup
      --json             write progress and result to standard output, each a
                         JSON object in a line
      --manifest-checksums=SHA{224,256,384,512}|CRC32C|NONE
                         use algorithm for manifest checksums
      --manifest-force-encode
                         hex encode all file names in manifest
      --no-estimate-size accepted, and has no effect: the sizes come with the
                         list of files
      --min-jobs=NUM     go on with this many connections where others fail
                         (default: all are needed)
      --no-descriptors   have all files sent over the connection, also where
                         the server's own user could read them by itself
      --no-manifest      suppress generation of backup manifest
      --no-slot          prevent creation of temporary replication slot
      --no-verify-checksums
                         do not verify checksums
      --refresh          make the new backup of the one in the directory, or of
                         what a killed one has left there, and copy only what
                         differs
      --sync-method=METHOD
                         set method for syncing files to disk: fsync, or syncfs
                         on Linux (default: the faster one that is safe)
      --timeout=SECONDS  fail if the server owes an answer and is silent for so
                         long (default: 0, no limit): longer than a spread
                         checkpoint takes. It does not count while the server
                         waits for its archive, as with -X none

Connection options:
  -d, --dbname=CONNSTR   connection string; a database that it names is for the
                         routing of a connection pooler
  -h, --host=HOSTNAME    server host or socket directory
  -p, --port=PORT        server port number
  -s, --status-interval=INTERVAL
                         time between status packets sent to server (in seconds)
  -U, --username=NAME    connect as specified database user
  -w, --no-password      never prompt for password
  -W, --password         force password prompt (should happen automatically)

Other options:
  -V, --version          output version information, then exit
  -?, --help             show this help, then exit

The exit status is 0 if the backup is whole, 1 if it failed, 2 if the arguments
are wrong, and 3 if it is complete, with pages that are damaged in the cluster.

SIGINT, SIGTERM, SIGHUP and SIGQUIT end the backup and remove what it has
written. One that comes again more than a second later, SIGHUP excepted, ends it
at once.

The keywords of connection strings, the environment variables, the service files
and the password file are libpq's. Refused by name are sslcrl, sslcrldir,
gssencmode=require, sslkeylogfile, and those that begin with oauth_ and scram_.
`

func (*backupCommand) usage() string { return backupUsage }

func (c *backupCommand) run(out *console) error {
	lines := newJSONLines(out)
	err := c.perform(out, lines)
	if err == nil {
		return nil
	}
	if c.JSON {
		lines.error(err, c.hint(err))
	}
	if isUsageError(err) {
		return err
	}
	if !c.told {
		c.tellError(out, err)
	}
	return reportedError{err}
}

// tellError tells why the backup failed, and what there is to do about it.
func (c *backupCommand) tellError(out *console, err error) {
	c.told = true
	out.error(err)
	if hint := c.hint(err); hint != "" {
		out.hint(hint)
	}
}

// reportedError is an error that was told already.
type reportedError struct{ error }

// Is reports it as errReported.
func (reportedError) Is(target error) bool { return target == errReported }

func (e reportedError) Unwrap() error { return e.error }

func (c *backupCommand) perform(out *console, lines *jsonLines) error {
	options, err := c.options(func(e client.Event) {
		if e.Err != nil {
			c.line.finish()
			c.tellError(out, e.Err)
			return
		}
		tell(out, e, c.Verbose)
		if c.JSON && e.Level == client.LevelWarning {
			lines.warning(e)
		}
	})
	if err != nil {
		return err
	}
	restore, err := c.toStdout(&options, out)
	if err != nil {
		return err
	}
	defer restore()
	if err := options.Check(); err != nil {
		return asUsage(err)
	}
	ctx, release := untilInterrupted(out)
	defer release()
	return c.withPassword(ctx, &options.ConnInfo, out, func() error {
		if c.DryRun {
			return c.dryRun(ctx, out, lines, options)
		}
		return c.backup(ctx, out, lines, options)
	})
}

// hint is what there is to do about an error of the client, in terms of the options; empty
// if there is nothing.
func (c *backupCommand) hint(err error) string {
	if errors.Is(err, client.ErrUnfinished) {
		return "Use --refresh to take it up, or --force to remove it first."
	}
	if space, ok := errors.AsType[*client.TablespaceError](err); ok {
		return fmt.Sprintf("Use -T %s=NEWDIR to relocate the tablespace.", strings.ReplaceAll(space.Location, "=", `\=`))
	}
	if errors.Is(err, client.ErrNeedsInPlace) {
		return "Use --in-place to change the old backup where it is: until the new one is complete, the directory holds no backup. Or give tablespaces (-T) and WAL (--waldir) other directories than the old backup has."
	}
	if missing, ok := errors.AsType[*noPasswordError](err); ok {
		return missing.hint()
	}
	if errors.Is(err, client.ErrNotEmpty) {
		return c.notEmptyHint()
	}
	return defaultPortHint(err)
}

// notEmptyHint is about a directory that holds what no killed backup has left.
func (c *backupCommand) notEmptyHint() string {
	switch {
	case c.Force:
		return "--force removes only what a killed backup has left."
	case !c.Refresh && !c.Format.tar && isThere(c.Pgdata, "backup_manifest") && isThere(c.Pgdata, "global/pg_control"):
		return "Use --refresh to bring the backup there up to date."
	}
	return ""
}

func (c *backupCommand) backup(ctx context.Context, out *console, lines *jsonLines, options client.Options) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	var progress []func(client.Progress)
	if c.JSON {
		progress = append(progress, func(p client.Progress) {
			lines.progress(p)
			if err := out.outputError(); err != nil {
				giveUp(err) // nor would the result be told
			}
		})
	}
	if c.Progress {
		c.line = newProgressLine(out)
		defer c.line.finish()
		progress = append(progress, c.line.update)
	}
	options.Progress = func(p client.Progress) {
		for _, report := range progress {
			report(p)
		}
	}
	result, err := client.Backup(ctx, options)
	if text := refreshedText(result); text != "" && (c.Verbose || c.Progress) {
		c.line.finish()
		out.info(text)
	}
	if c.JSON && (err == nil || errors.Is(err, client.ErrChecksum)) {
		lines.result(result, options, err)
		if lost := out.outputError(); lost != nil {
			if err != nil {
				out.error(err)
			}
			return fmt.Errorf("backup is complete, but not its report: %w", lost)
		}
	}
	return err
}

// refreshedText says what a refresh has saved; nothing where there was no earlier backup.
func refreshedText(r client.Result) string {
	if r.KeptFiles+r.KeptBytes+r.RemovedFiles == 0 {
		return ""
	}
	return fmt.Sprintf("kept %s of an earlier backup (%s whole), fetched %s (%.1f %%), removed %s",
		sizeText(r.KeptBytes), filesText(r.KeptFiles), sizeText(r.FetchedBytes), 100*float64(r.FetchedBytes)/float64(max(r.Bytes, 1)), filesText(r.RemovedFiles))
}

func filesText(n int64) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
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
