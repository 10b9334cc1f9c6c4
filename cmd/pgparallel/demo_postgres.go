package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// postgresSource is a cluster of the PostgreSQL that is installed. Where we are
// root, its programs run as another user, who has to own what they use.
type postgresSource struct {
	programs postgres.Programs
	scale    int // of pgbench: 100,000 rows each
}

func (s postgresSource) mkdirTemp(parent, pattern string) (string, error) {
	return s.programs.MkdirTemp(parent, pattern)
}

func (s postgresSource) create(ctx context.Context, in demoDirs) (string, error) {
	if err := os.Mkdir(in.tablespace, 0o700); err != nil {
		return "", err
	}
	if err := s.programs.Own(in.tablespace); err != nil {
		return "", err
	}
	cluster, err := s.programs.Init(ctx, in.data, postgres.InitOptions{Checksums: true})
	if err != nil {
		return "", err
	}
	err = s.whileRunning(ctx, cluster, in.logs, "cluster.log", func() error {
		location := strings.ReplaceAll(in.tablespace, "'", "''")
		_, err := cluster.SQL(ctx, "postgres", "create tablespace fast location '"+location+"'; create database bench;")
		if err != nil {
			return err
		}
		return cluster.Pgbench(ctx, "bench", "-i", "-q", "-s", strconv.Itoa(s.scale), "--index-tablespace=fast")
	})
	return fmt.Sprintf("made a cluster with PostgreSQL %s: pgbench at scale %d, one tablespace", s.programs.Version, s.scale), err
}

// stock runs pg_basebackup against the server, whose socket its user must get to.
func (s postgresSource) stock(ctx context.Context, in demoDirs, tell func(string)) error {
	if !s.programs.Has("pg_basebackup") || !s.programs.Has("pg_verifybackup") {
		return nil
	}
	if err := s.programs.Own(in.socket); err != nil {
		return err
	}
	_, err := s.programs.Run(ctx, "pg_basebackup", "-h", in.socket, "-p", strconv.Itoa(demoPort), "-U", "postgres",
		"-D", in.stock, "-T", in.tablespace+"="+in.stockTablespace, "-X", "fetch", "--no-sync")
	if err != nil {
		return err
	}
	if _, err := s.programs.Run(ctx, "pg_verifybackup", in.stock); err != nil {
		return err
	}
	tell("pg_basebackup has taken a backup from the stopped cluster, too, and pg_verifybackup verified it")
	return removeAll(in.stock, in.stockTablespace)
}

func (s postgresSource) prove(ctx context.Context, in demoDirs, tell func(string)) error {
	if err := errors.Join(s.programs.Own(in.copy), s.programs.Own(in.copyTablespace)); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.programs.BinDir, "pg_verifybackup")); err == nil {
		said, err := s.programs.Run(ctx, "pg_verifybackup", in.copy)
		if err != nil {
			return err
		}
		tell("pg_verifybackup: " + strings.TrimSpace(said))
	}
	cluster, err := s.programs.At(in.copy)
	if err != nil {
		return err
	}
	var rows string
	err = s.whileRunning(ctx, cluster, in.logs, "copy.log", func() (err error) {
		rows, err = cluster.SQL(ctx, "bench", "select count(*) from pgbench_accounts")
		return err
	})
	if err != nil {
		return fmt.Errorf("copy does not work: %w", err)
	}
	tell(fmt.Sprintf("PostgreSQL started from the copy: pgbench_accounts has %s rows; stopped again", rows))
	return nil
}

// whileRunning runs the server for as long as do takes, and keeps its log.
func (s postgresSource) whileRunning(ctx context.Context, c *postgres.Cluster, logs, name string, do func() error) error {
	err := c.Start(ctx)
	if err == nil {
		err = do()
		if err == nil {
			err = c.Stop(ctx, postgres.Fast)
		}
	}
	return errors.Join(err, copyFile(filepath.Join(logs, name), c.LogFile()), c.Close())
}

func copyFile(to, from string) error {
	source, err := os.Open(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the server did not come to it
	}
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
