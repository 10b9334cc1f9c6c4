package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/walsender/tlsfiles"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// source is a running cluster that backups are taken of, and the servers that give them.
type source struct {
	programs postgres.Programs
	// basebackupMajor is that of pg_basebackup: a newer major may have lent it.
	basebackupMajor string
	top             string // holds all that belongs to it
	cluster         *postgres.Cluster
	tls             tlsfiles.Files // zero: PostgreSQL does not speak TLS
	postmaster      int
	program         string        // pgparallel, where PostgreSQL's user can run it; empty before startServe
	serve           *serveProcess // nil before startServe
	data            contents
}

// contents are the files of base/, which is nearly all that a backup copies.
type contents struct {
	files int
	bytes int64
}

// sourceOptions say what is in a cluster and where it listens.
type sourceOptions struct {
	parent    string // the directory to make it in
	fill      func(ctx context.Context, c *postgres.Cluster) error
	tls       bool
	addresses []string // to listen on, besides the Unix socket and the loopback one
	peers     string   // an address from where everybody is let in; may be empty
}

// newSource makes a cluster, fills it and leaves it running. The caller closes it.
func newSource(ctx context.Context, p postgres.Programs, o sourceOptions) (s *source, err error) {
	top, err := p.MkdirTemp(o.parent, "pgparallel-bench-")
	if err != nil {
		return nil, err
	}
	s = &source{programs: p, top: top}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.basebackupMajor, err = basebackupMajor(ctx, p); err != nil {
		return s, err
	}
	if err := s.init(ctx, o); err != nil {
		return s, err
	}
	if err := s.start(ctx, o.addresses); err != nil {
		return s, err
	}
	if err := o.fill(ctx, s.cluster); err != nil {
		return s, fmt.Errorf("filling a cluster of PostgreSQL %s: %w", p.Version, err)
	}
	if _, err := s.cluster.SQL(ctx, "postgres", "checkpoint; select pg_switch_wal(); checkpoint"); err != nil {
		return s, err
	}
	s.data, err = contentsOf(filepath.Join(s.cluster.Dir, "base"))
	return s, err
}

// basebackupMajor is what the program says that it is: pg_basebackup (PostgreSQL) 18.6 (Debian …).
func basebackupMajor(ctx context.Context, p postgres.Programs) (string, error) {
	said, err := p.Run(ctx, "pg_basebackup", "--version")
	if err != nil {
		return "", err
	}
	_, version, _ := strings.Cut(said, "(PostgreSQL) ")
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	return version[:max(end, 0)], nil
}

func (s *source) init(ctx context.Context, o sourceOptions) (err error) {
	settings := map[string]string{
		"autovacuum": "off", // its workers would take CPU time of PostgreSQL's
		// There is room for the WAL between two checkpoints, and a backup's stream of it.
		"max_wal_size": "1GB", "max_wal_senders": "80", "max_connections": "100", "shared_buffers": "128MB",
	}
	if o.tls {
		dir := filepath.Join(s.top, "tls")
		if s.tls, _, err = tlsfiles.SelfSigned(dir); err != nil {
			return err
		}
		if err := s.programs.Own(dir); err != nil {
			return err
		}
		settings["ssl"], settings["ssl_cert_file"], settings["ssl_key_file"] = "on", s.tls.Certificate, s.tls.Key
	}
	s.cluster, err = s.programs.Init(ctx, filepath.Join(s.top, "data"), postgres.InitOptions{Checksums: true, Settings: settings})
	if err != nil {
		return err
	}
	if o.peers != "" {
		if err := appendTo(filepath.Join(s.cluster.Dir, "pg_hba.conf"), "host all,replication all "+o.peers+"/32 trust\n"); err != nil {
			return err
		}
	}
	s.cluster.Port, err = freePort()
	return err
}

func appendTo(name, text string) error {
	file, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// start starts PostgreSQL. [postgres.Cluster.Start] would keep it off the network.
func (s *source) start(ctx context.Context, addresses []string) error {
	options := fmt.Sprintf("-p %d -c unix_socket_directories='%s' -c listen_addresses='%s'",
		s.cluster.Port, s.cluster.SocketDir, strings.Join(append([]string{"127.0.0.1"}, addresses...), ","))
	_, err := s.programs.Run(ctx, "pg_ctl", "start", "-D", s.cluster.Dir, "-w", "-t", "120", "-l", s.cluster.LogFile(), "-o", options)
	if err != nil {
		log, _ := os.ReadFile(s.cluster.LogFile()) // of a server that did not begin there is none
		return fmt.Errorf("starting the server: %w\n%s", err, tail(string(log), 2000))
	}
	text, err := os.ReadFile(filepath.Join(s.cluster.Dir, "postmaster.pid"))
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	s.postmaster, err = strconv.Atoi(line)
	return err
}

// close ends the servers and removes the cluster.
func (s *source) close() error {
	var err error
	if s.serve != nil {
		s.serve.stop()
	}
	if s.cluster != nil {
		err = errors.Join(err, s.cluster.Close())
	}
	return errors.Join(err, os.RemoveAll(s.top))
}

func contentsOf(dir string) (c contents, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		c.files++
		c.bytes += info.Size()
		return nil
	})
	return c, err
}

// freePort is a TCP port that nobody listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
