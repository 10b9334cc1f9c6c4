// Embed serves a cluster of its own kind: a data directory in a ZIP archive, from
// which pgparallel backup, or any other client, restores it.
//
//	embed [ARCHIVE.zip]
package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var files fs.FS
	switch len(args) {
	case 0:
		sample, err := sampleArchive()
		if err != nil {
			return err
		}
		files = sample
		fmt.Fprintln(out, "serving a sample, on which no PostgreSQL would start; embed ARCHIVE.zip serves the real thing")
	case 1:
		opened, err := zip.OpenReader(args[0])
		if err != nil {
			return err
		}
		defer opened.Close()
		files = opened
	default:
		return errors.New("usage: embed [ARCHIVE.zip]")
	}
	cluster, err := openArchive(files)
	if err != nil {
		return err
	}
	return serve(ctx, cluster, out)
}

// newServer makes a server that answers the commands of a parallel backup, and not those of
// PostgreSQL itself: an archive has no WAL that could be streamed.
func newServer(cluster walsender.Cluster) *walsender.Server {
	return &walsender.Server{Cluster: cluster, Commands: walsender.ParallelBackup}
}

// serve serves the cluster until ctx ends, on a Unix socket: the server has no
// authentication, and only this user can get to that one.
func serve(ctx context.Context, cluster walsender.Cluster, out io.Writer) error {
	dir, err := os.MkdirTemp("", "embed")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	listener, err := walsender.ListenUnix(dir, 5433)
	if err != nil {
		return err
	}
	server := newServer(cluster)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }() // ends at Shutdown at the latest
	fmt.Fprintf(out, `  psql "replication=true host=%[1]s port=5433" -c LIST_FILES
  go run ./cmd/pgparallel backup -h %[1]s -p 5433 -j 4 -D copy
`, dir)
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		return server.Shutdown(context.Background())
	}
}

// sampleArchive packs a small data directory, in memory.
func sampleArchive() (*zip.Reader, error) {
	dir, err := os.MkdirTemp("", "embed")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := (walsendertest.Sample{WALSegmentSize: 1 << 20, RecycledSegment: true}).Write(dir); err != nil {
		return nil, err
	}
	return pack(os.DirFS(dir))
}

// pack makes a ZIP archive of files, in memory.
func pack(files fs.FS) (*zip.Reader, error) {
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	if err := w.AddFS(files); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
}
