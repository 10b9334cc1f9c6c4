package postgres

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// InitOptions say how a cluster is made. The zero value is a cluster without
// page checksums, with 16 MiB segments, for its owner's eyes only.
type InitOptions struct {
	// Checksums turns page checksums on.
	Checksums bool
	// GroupAccess gives the owner's group leave to read (modes 0750 and 0640).
	GroupAccess bool
	// WALSegmentSizeMB is the size of a WAL segment in MiB, a power of two from
	// 1 to 1024. 0 means 16.
	WALSegmentSizeMB int
	// Settings are appended to postgresql.conf, over those that Init writes for
	// a small and quick cluster: fsync=off, shared_buffers=16MB,
	// max_connections=40, logging in UTC.
	Settings map[string]string
}

// Init makes a cluster in dir with initdb; dir is made where it is not there,
// and must be empty otherwise. Its superuser is postgres, who is trusted, its
// encoding UTF8, its locale C. The cluster is not started. The caller closes it,
// and removes dir.
func (p Programs) Init(ctx context.Context, dir string, o InitOptions) (*Cluster, error) {
	dir, err := p.mkdir(dir)
	if err != nil {
		return nil, err
	}
	if _, err := p.Run(ctx, "initdb", append(p.initArgs(o), "-D", dir)...); err != nil {
		return nil, err
	}
	return p.configured(dir, o)
}

// mkdir makes a directory for a cluster, where it is not there.
func (p Programs) mkdir(dir string) (absolute string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return "", err
	}
	return dir, p.Own(dir)
}

// configured is the cluster that has just been made in dir, with its settings.
func (p Programs) configured(dir string, o InitOptions) (*Cluster, error) {
	c, err := p.At(dir)
	if err != nil {
		return nil, err
	}
	settings := map[string]string{
		"fsync":           "off",
		"shared_buffers":  "16MB",
		"max_connections": "40",
		"log_timezone":    "UTC",
	}
	maps.Copy(settings, o.Settings)
	if err := c.Configure(settings); err != nil {
		c.removeSocketDir() // the error that counts is Configure's
		return nil, err
	}
	return c, nil
}

func (p Programs) initArgs(o InitOptions) []string {
	args := []string{"-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"}
	switch {
	case o.Checksums:
		args = append(args, "--data-checksums")
	case p.Major >= 18: // on by default from there on
		args = append(args, "--no-data-checksums")
	}
	if o.GroupAccess {
		args = append(args, "--allow-group-access")
	}
	if o.WALSegmentSizeMB != 0 {
		args = append(args, "--wal-segsize="+strconv.Itoa(o.WALSegmentSizeMB))
	}
	return args
}

// Configure appends settings to the cluster's postgresql.conf. They hold from
// the next start on.
func (c *Cluster) Configure(settings map[string]string) error {
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value := strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(settings[name])
		fmt.Fprintf(&lines, "%s = '%s'\n", name, value)
	}
	conf, err := os.OpenFile(filepath.Join(c.Dir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer conf.Close()
	if _, err := conf.WriteString(lines.String()); err != nil {
		return err
	}
	return conf.Close()
}
