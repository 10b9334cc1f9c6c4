package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/backupdir"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

const demoUsage = `pgparallel demo makes a cluster, backs it up, and restores the backup.

Usage:
  pgparallel demo [OPTION]...

Options:
  -j, --jobs=NUM  use this many connections to copy files (default: 4)

Other options:
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
		return demonstrate(ctx, out, sampleSource{pages: 500}, int(c.Jobs))
	case err != nil:
		return err
	}
	return demonstrate(ctx, out, postgresSource{programs, 5}, int(c.Jobs))
}

// demoSource is what a demonstration backs up.
type demoSource interface {
	// mkdirTemp makes the directory for everything.
	mkdirTemp(parent, pattern string) (string, error)
	// create makes the cluster and says what it made.
	create(ctx context.Context, in demoDirs) (string, error)
	// stock has PostgreSQL's own program take a backup while the server runs, and tells
	// of it. Nothing is left of that backup.
	stock(ctx context.Context, in demoDirs, tell func(string)) error
	// prove does with the copy of the backup what shows that it is one, and tells each
	// thing that it did.
	prove(ctx context.Context, in demoDirs, tell func(string)) error
}

// demoDirs are the directories of a demonstration.
type demoDirs struct {
	top              string // holds all of them
	data, tablespace string // the cluster
	socket, logs     string
	backup           string
	backupTablespace string
	copy             string // of the backup
	copyTablespace   string
	stock            string // what pg_basebackup makes
	stockTablespace  string
}

func newDemoDirs(source demoSource) (demoDirs, error) {
	parent := os.TempDir()
	if len(parent) > 50 { // the path of a Unix socket is limited to some 100 bytes
		parent = "/tmp"
	}
	top, err := source.mkdirTemp(parent, "pgparallel-demo-")
	if err != nil {
		return demoDirs{}, err
	}
	return demoDirs{
		top:              top,
		data:             filepath.Join(top, "cluster"),
		tablespace:       filepath.Join(top, "cluster_tablespace"),
		socket:           filepath.Join(top, "socket"),
		logs:             filepath.Join(top, "logs"),
		backup:           filepath.Join(top, "backup"),
		backupTablespace: filepath.Join(top, "backup_tablespace"),
		copy:             filepath.Join(top, "copy"),
		copyTablespace:   filepath.Join(top, "copy_tablespace"),
		stock:            filepath.Join(top, "stock"),
		stockTablespace:  filepath.Join(top, "stock_tablespace"),
	}, nil
}

// demonstrate makes the cluster, backs it up over as many connections, and proves
// the backup. What is left behind is the backup; the logs, if something failed; and
// nothing, if the user did not wait for the end.
func demonstrate(ctx context.Context, out *console, source demoSource, jobs int) error {
	in, err := newDemoDirs(source)
	if err != nil {
		return err
	}
	err = steps(ctx, out, source, in, jobs)
	switch {
	case err == nil:
		out.print(fmt.Sprintf("The backup is in %s, its tablespace in %s\n", in.backup, filepath.Base(in.backupTablespace)))
		return removeAll(in.data, in.tablespace, in.copy, in.copyTablespace, in.stock, in.stockTablespace, in.socket, in.logs)
	case ctx.Err() != nil:
		return errors.Join(context.Cause(ctx), os.RemoveAll(in.top))
	default:
		removed := removeAll(in.data, in.tablespace, in.copy, in.copyTablespace, in.stock, in.stockTablespace, in.socket, in.backup, in.backupTablespace)
		return errors.Join(fmt.Errorf("%w\n(the logs are in %s)", err, in.logs), removed)
	}
}

func steps(ctx context.Context, out *console, source demoSource, in demoDirs, jobs int) error {
	if err := errors.Join(os.Mkdir(in.socket, 0o700), os.Mkdir(in.logs, 0o700)); err != nil {
		return err
	}
	began := time.Now()
	tell := func(text string) {
		out.print(fmt.Sprintf("%5.1f s  %s\n", time.Since(began).Seconds(), text))
	}
	made, err := source.create(ctx, in)
	if err != nil {
		return fmt.Errorf("could not make a cluster: %w", err)
	}
	tell(made)

	result, err := demoBackup(ctx, out, in, jobs, func() error { return source.stock(ctx, in, tell) })
	if err != nil {
		return err
	}
	tell(fmt.Sprintf("backed up over %d connections: %d files, %d MB", jobs, result.Files, result.Bytes>>20))

	report, err := client.Verify(ctx, in.backup, client.VerifyOptions{Jobs: jobs})
	if err != nil {
		return err
	}
	if len(report.Problems) > 0 {
		return fmt.Errorf("backup is not what its manifest says: %s", report.Problems[0].Message)
	}
	tell("pgparallel verify: backup successfully verified")

	if err := removeAll(in.data, in.tablespace); err != nil {
		return err
	}
	if result, err = demoRestore(ctx, out, in, jobs); err != nil {
		return err
	}
	tell(fmt.Sprintf("removed the cluster; served the backup, and copied that over %d connections: %d files", jobs, result.Files))
	return source.prove(ctx, in, tell)
}

func removeAll(paths ...string) error {
	var failed error
	for _, path := range paths {
		failed = errors.Join(failed, os.RemoveAll(path))
	}
	return failed
}

// demoPort is a number in the name of a socket in a directory of its own.
const demoPort = 5433

// demoBackup does in one process what "pgparallel serve" and "pgparallel backup" do
// in two. Before the server ends, stock is called.
func demoBackup(ctx context.Context, out *console, in demoDirs, jobs int, stock func() error) (client.Result, error) {
	cluster, err := datadir.Open(in.data, datadir.Options{})
	if err != nil {
		return client.Result{}, err
	}
	defer cluster.Close()
	return demoServe(ctx, out, cluster, in, client.Options{
		Dir: in.backup, Jobs: jobs, TablespaceMap: map[string]string{in.tablespace: in.backupTablespace},
	}, stock)
}

// demoRestore does the same with the backup in the place of the cluster.
func demoRestore(ctx context.Context, out *console, in demoDirs, jobs int) (client.Result, error) {
	backup, err := backupdir.Open(in.backup, backupdir.Options{Verify: true})
	if err != nil {
		return client.Result{}, err
	}
	defer backup.Close()
	return demoServe(ctx, out, backup, in, client.Options{
		Dir: in.copy, Jobs: jobs, TablespaceMap: map[string]string{in.backupTablespace: in.copyTablespace},
	}, func() error { return nil })
}

// demoServe serves a cluster while the client copies it, and then for as long as behind
// takes.
func demoServe(ctx context.Context, out *console, cluster walsender.Cluster, in demoDirs, o client.Options, behind func() error) (client.Result, error) {
	logFile, err := os.OpenFile(filepath.Join(in.logs, "serve.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return client.Result{}, err
	}
	defer logFile.Close()
	listener, err := walsender.ListenUnix(in.socket, demoPort)
	if err != nil {
		return client.Result{}, err
	}
	server := &walsender.Server{Cluster: cluster, MaxWALSenders: o.Jobs + 1, Logger: newTextLog(logFile)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }() // ends with Shutdown

	result, err := demoCopy(ctx, out, in, o)
	if err == nil {
		err = behind()
	}
	return result, errors.Join(err, server.Shutdown(context.WithoutCancel(ctx)), unexpectedEnd(<-served))
}

func unexpectedEnd(err error) error {
	if errors.Is(err, walsender.ErrServerClosed) {
		return nil
	}
	return err
}

func demoCopy(ctx context.Context, out *console, in demoDirs, o client.Options) (client.Result, error) {
	var err error
	o.ConnInfo, err = connectionOptions{Host: in.socket, Port: strconv.Itoa(demoPort), Username: "postgres"}.connInfo(out.warning)
	if err != nil {
		return client.Result{}, err
	}
	line := newProgressLine(out)
	defer line.finish()
	o.FastCheckpoint, o.Progress, o.Log = true, line.update, func(e client.Event) { tell(out, e, false) }
	return client.Backup(ctx, o)
}
