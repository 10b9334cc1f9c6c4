package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// demoPort is a number in the name of a socket in a directory of its own.
const demoPort = 5433

// demoBackup does in one process what "pgparallel serve" and "pgparallel backup" do
// in two.
func demoBackup(ctx context.Context, out *console, in demoDirs, jobs int) (client.Result, error) {
	cluster, err := datadir.Open(in.data, datadir.Options{})
	if err != nil {
		return client.Result{}, err
	}
	defer cluster.Close()
	logFile, err := os.Create(filepath.Join(in.logs, "serve.log"))
	if err != nil {
		return client.Result{}, err
	}
	defer logFile.Close()
	listener, err := walsender.ListenUnix(in.socket, demoPort)
	if err != nil {
		return client.Result{}, err
	}
	server := &walsender.Server{Cluster: cluster, MaxWALSenders: jobs + 1, Logger: newLog(logFile, true)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }() // ends with Shutdown

	result, err := demoCopy(ctx, out, in, jobs)
	return result, errors.Join(err, server.Shutdown(context.WithoutCancel(ctx)), unexpectedEnd(<-served))
}

func unexpectedEnd(err error) error {
	if errors.Is(err, walsender.ErrServerClosed) {
		return nil
	}
	return err
}

func demoCopy(ctx context.Context, out *console, in demoDirs, jobs int) (client.Result, error) {
	info, err := connectionOptions{Host: in.socket, Port: strconv.Itoa(demoPort), Username: "postgres"}.connInfo(out)
	if err != nil {
		return client.Result{}, err
	}
	line := newProgressLine(out)
	defer line.finish()
	return client.Backup(ctx, client.Options{
		ConnInfo:       info,
		Dir:            in.backup,
		Jobs:           jobs,
		FastCheckpoint: true,
		TablespaceMap:  map[string]string{in.tablespace: in.backupTablespace},
		Progress:       line.update,
		Log:            func(e client.Event) { tell(out, e, false) },
	})
}
