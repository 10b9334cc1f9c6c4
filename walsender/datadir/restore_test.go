package datadir_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// restore takes a backup of the cluster as a client would and puts it into dir,
// tablespaces beside it, for the server's user.
func restore(t *testing.T, p postgres.Programs, c *datadir.Stopped, dir string) protocol.BackupStop {
	t.Helper()
	ctx := t.Context()
	must(t, os.Mkdir(dir, 0o700))
	start, backup, err := c.StartBackup(ctx, request(nil))
	must(t, err)
	tablespaces, err := c.Tablespaces(ctx, true)
	must(t, err)
	slices.Reverse(tablespaces) // the links before what lies behind them
	for _, ts := range tablespaces {
		for f, err := range c.Files(ctx, ts.Location, func(e *protocol.Error) { t.Errorf("notice: %v", e) }) {
			must(t, err)
			restoreFile(ctx, t, c, f, start.StartPtr, dir)
		}
	}
	stop, err := backup.Stop(ctx, true, nil)
	must(t, err)
	for f, err := range c.WALFiles(ctx, stop.StartPtr, stop.StopPtr) {
		must(t, err)
		restoreFile(ctx, t, c, f, start.StartPtr, dir)
	}
	if stop.Label != "" {
		must(t, os.WriteFile(dir+"/backup_label", []byte(stop.Label), 0o600))
	}
	must(t, p.Own(filepath.Dir(dir)))
	return stop
}

func restoreFile(ctx context.Context, t *testing.T, c *datadir.Stopped, f protocol.File, start protocol.LSN, dir string) {
	t.Helper()
	target := filepath.Join(dir, f.Path)
	switch f.Type {
	case protocol.TypeDirectory:
		must(t, os.MkdirAll(target, 0o700))
	case protocol.TypeLink:
		location := dir + "-" + filepath.Base(f.Path)
		must(t, os.Mkdir(location, 0o700))
		must(t, os.Symlink(location, target))
	case protocol.TypeFile:
		source, err := c.Open(ctx, f.Path, protocol.OpenOptions{StartPtr: start, VerifyChecksums: true, Notice: func(e *protocol.Error) {
			t.Errorf("notice: %v", e)
		}})
		must(t, err)
		defer source.Close()
		copied, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		must(t, err)
		_, err = io.CopyBuffer(struct{ io.Writer }{copied}, source, make([]byte, 128<<10))
		must(t, err)
		must(t, copied.Close())
	}
}

// startCopy starts the restored cluster and returns what is in it.
func startCopy(t *testing.T, p postgres.Programs, dir string) map[string]postgres.Table {
	t.Helper()
	duplicate := p.OpenCluster(t, dir)
	must(t, duplicate.Start(t.Context()))
	content, err := duplicate.Fingerprint(t.Context())
	must(t, err)
	must(t, duplicate.Stop(t.Context(), postgres.Fast))
	return content
}

func sql(t *testing.T, c *postgres.Cluster, statements string) string {
	t.Helper()
	out, err := c.SQL(t.Context(), "postgres", statements)
	must(t, err)
	return strings.TrimSpace(out)
}
