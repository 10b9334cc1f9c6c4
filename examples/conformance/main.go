// Conformance runs the conformance kit against a backup client in this process, that of
// package client, and prints the table of its cases.
//
//	conformance [ID, AREA or PATTERN]...
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender/conformance"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	report, err := conformance.CheckClient(ctx, conformance.Options{Client: backUp, Select: os.Args[1:], Strict: true})
	if err == nil {
		err = report.WriteTable(os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	if err != nil || !report.OK() {
		stop()
		os.Exit(1)
	}
}

// backUp is the client under test: put yours in its place.
func backUp(ctx context.Context, t conformance.Target) error {
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%d user=backup sslmode=disable", t.Host, t.Port))
	if err != nil {
		return err
	}
	wal := client.WALFetch
	if t.WAL == "none" {
		wal = client.WALNone
	}
	_, err = client.Backup(ctx, client.Options{
		ConnConfig:    config,
		Dir:           t.Dir,
		Jobs:          t.Jobs,
		MinJobs:       t.MinJobs,
		WAL:           client.WALOptions{Method: wal},
		TablespaceMap: map[string]string{t.TablespaceOld: t.TablespaceNew},
	})
	return err
}
