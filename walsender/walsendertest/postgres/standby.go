package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Standby makes a standby of the running server in dir, which must not exist or
// be empty, with pg_basebackup and the settings to stream from the server. More
// arguments are handed to pg_basebackup, such as a -T for each tablespace. The
// standby is not started. The caller closes it, and removes dir.
func (c *Cluster) Standby(ctx context.Context, dir string, args ...string) (*Cluster, error) {
	p := c.Programs
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return nil, err
	}
	if err := p.Own(dir); err != nil {
		return nil, err
	}
	args = append([]string{
		"-d", c.ConnString("postgres"), "-D", dir, "--write-recovery-conf", "--wal-method=stream",
		"--checkpoint=fast", "--no-sync",
	}, args...)
	if _, err := p.Run(ctx, "pg_basebackup", args...); err != nil {
		return nil, fmt.Errorf("making a standby of %s: %w", c.Dir, err)
	}
	return p.At(dir)
}
