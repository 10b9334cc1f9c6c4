package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// Until all else is there, the control file has another name: PostgreSQL does not start
// from what a copy that was interrupted leaves behind (§5.6).
const (
	controlFile   = "global/pg_control"
	unfinishedOne = "global/pg_control.incomplete"
)

// copier is a backup client at its smallest: one connection, no tablespaces, one
// timeline, nothing is synced, tried again or excused. What it leaves out makes it slow
// and quick to fail. What loses data when it is left out is here.
type copier struct {
	conn        *pgconn.PgConn
	root        *os.Root // of the copy; nobody gets out of it, whatever names the server tells
	segmentSize int64    // of WAL, in bytes
}

// copyCluster copies the cluster that config leads to into dir, which must not exist. It
// leaves either a whole copy behind or nothing.
func copyCluster(ctx context.Context, config *pgconn.Config, dir string) (err error) {
	config = config.Copy()
	config.RuntimeParams["replication"] = "true"
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) // all answers have been read
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return (&copier{conn: conn, root: root}).run(ctx)
}

// run is the course of a backup (§5.1).
func (c *copier) run(ctx context.Context) error {
	size, err := c.row(ctx, "SHOW wal_segment_size")
	if err != nil {
		return err
	}
	if c.segmentSize, err = protocol.ParseWALSegmentSize(string(size[0])); err != nil {
		return err
	}
	if err := c.noTablespaces(ctx); err != nil {
		return err
	}
	if _, err := c.row(ctx, "START_BACKUP LABEL 'testdouble' FAST"); err != nil {
		return err
	}
	if _, err := c.copyAll(ctx, "LIST_FILES"); err != nil {
		return err
	}
	row, err := c.row(ctx, "STOP_BACKUP NOWAIT")
	if err != nil {
		return err
	}
	stop, err := protocol.DecodeBackupStop(row)
	if err != nil {
		return err
	}
	// One that was made meanwhile would have replay write into the source (§5.8).
	if err := c.noTablespaces(ctx); err != nil {
		return err
	}
	if err := c.copyWAL(ctx, stop); err != nil {
		return err
	}
	if stop.Label != "" {
		if err := c.root.WriteFile("backup_label", []byte(stop.Label), 0o600); err != nil {
			return err
		}
	}
	return c.root.Rename(unfinishedOne, controlFile)
}

// noTablespaces makes sure that the data directory is all that there is.
func (c *copier) noTablespaces(ctx context.Context) error {
	if _, err := c.row(ctx, "LIST_TABLESPACES"); err != nil {
		return fmt.Errorf("a cluster with tablespaces is not for this client: %w", err)
	}
	return nil
}

// copyWAL copies the WAL of the backup, and makes sure that none of it is missing (§5.2).
func (c *copier) copyWAL(ctx context.Context, stop protocol.BackupStop) error {
	if stop.StopPtr == 0 || stop.StopTimeline != stop.Timeline {
		return errors.New("a backup that does not end, or ends on another timeline, is not for this client")
	}
	files, err := c.copyAll(ctx, grammar.ListWALFiles{Start: grammar.At(stop.StartPtr), End: grammar.At(stop.StopPtr)}.String())
	if err != nil {
		return err
	}
	size := protocol.LSN(c.segmentSize)
	for begin := stop.StartPtr - stop.StartPtr%size; begin < stop.StopPtr; begin += size {
		name := protocol.WALFileName(stop.Timeline, begin, c.segmentSize)
		if !slices.ContainsFunc(files, func(f protocol.File) bool { return f.Path == "pg_wal/"+name && f.Size == c.segmentSize }) {
			return fmt.Errorf("the WAL segment %s is missing", name)
		}
		// The last segment goes on to be written in the copy, and is archived then.
		if begin+size <= stop.StopPtr {
			if err := c.root.WriteFile("pg_wal/archive_status/"+name+".done", nil, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyAll copies what a command lists, and returns the list.
func (c *copier) copyAll(ctx context.Context, list string) ([]protocol.File, error) {
	rows, err := c.rows(ctx, list)
	if err != nil {
		return nil, err
	}
	var files []protocol.File
	for _, row := range rows {
		f, err := protocol.DecodeFile(row)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		switch f.Type {
		case protocol.TypeDirectory:
			err = c.root.Mkdir(f.Path, 0o700)
		case protocol.TypeFile:
			err = c.copyFile(ctx, f)
		default:
			err = fmt.Errorf("%q is neither a file nor a directory", f.Path)
		}
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

func (c *copier) copyFile(ctx context.Context, f protocol.File) error {
	name := f.Path
	if name == controlFile {
		name = unfinishedOne
	}
	file, err := c.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := c.conn.CopyTo(ctx, file, grammar.SendFile{Path: f.Path}.String()); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != f.Size {
		return fmt.Errorf("%s: received %d bytes of %d", f.Path, info.Size(), f.Size)
	}
	return file.Close()
}

// row runs a command that answers with one row.
func (c *copier) row(ctx context.Context, command string) (protocol.Row, error) {
	rows, err := c.rows(ctx, command)
	if err == nil && len(rows) != 1 {
		err = fmt.Errorf("%s: %d rows instead of one", command, len(rows))
	}
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

// rows runs a command that answers with a table. An error that comes after it counts.
func (c *copier) rows(ctx context.Context, command string) ([]protocol.Row, error) {
	results, err := c.conn.Exec(ctx, command).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	var rows []protocol.Row
	for _, result := range results {
		for _, row := range result.Rows {
			rows = append(rows, row)
		}
	}
	return rows, nil
}
