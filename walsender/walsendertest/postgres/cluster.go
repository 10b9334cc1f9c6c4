package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Cluster is a data directory and the means to run a server on it. The server
// listens on a Unix socket only, in a directory that is this cluster's own.
// Its methods may be called from several goroutines once it runs.
type Cluster struct {
	Programs  Programs
	Dir       string // the data directory, absolute
	SocketDir string // where the socket and the server's log are; [Cluster.Close] removes it
	Port      int    // the number in the socket's name
}

// At is the cluster in an existing data directory, such as a restored backup.
// It neither reads nor changes it; as root, see [Programs.Own]. The caller closes
// the cluster.
func (p Programs) At(dir string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	parent := os.TempDir()
	if len(parent) > 70 { // a socket's path is limited to 107 bytes, to 103 on BSD
		parent = "/tmp"
	}
	socketDir, err := p.MkdirTemp(parent, "pg")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the server's socket: %w", err)
	}
	return &Cluster{Programs: p, Dir: dir, SocketDir: socketDir, Port: 5432}, nil
}

// Close stops the server that [Cluster.Start] started, if it still runs, at once
// as a crash would, and removes the socket's directory with the log. The data
// directory stays.
func (c *Cluster) Close() error {
	var err error
	if c.running() {
		err = c.Stop(context.Background(), Immediate)
	}
	return errors.Join(err, c.removeSocketDir())
}

// running reports whether the data directory's postmaster.pid tells of a server
// of this Cluster's that is alive. The file of a copied data directory may tell
// of the original's, which is not ours to stop: the socket's directory differs.
func (c *Cluster) running() bool {
	text, err := os.ReadFile(filepath.Join(c.Dir, "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(text), "\n") // pid, data directory, start time, port, socket directory, ...
	pid, err := strconv.Atoi(lines[0])
	if err != nil || len(lines) < 5 || lines[4] != c.SocketDir {
		return false
	}
	return syscall.Kill(pid, 0) == nil
}

func (c *Cluster) removeSocketDir() error { return os.RemoveAll(c.SocketDir) }

// LogFile is the path of the server's log. It is outside of the data directory,
// so that no backup holds it.
func (c *Cluster) LogFile() string { return filepath.Join(c.SocketDir, "server.log") }

// ConnString is a connection string, in keywords and values, to a database as
// the superuser. More keywords can be appended, as in " replication=true".
func (c *Cluster) ConnString(database string) string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", quoteConn(c.SocketDir), c.Port, quoteConn(database))
}

func quoteConn(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// ControlData is what pg_controldata says about the cluster, by its labels, as
// in "Database cluster state": "shut down". The server need not run.
func (c *Cluster) ControlData(ctx context.Context) (map[string]string, error) {
	out, err := c.Programs.Run(ctx, "pg_controldata", "-D", c.Dir)
	if err != nil {
		return nil, err
	}
	data := make(map[string]string)
	for line := range strings.Lines(out) {
		if label, value, ok := strings.Cut(line, ":"); ok {
			data[label] = strings.TrimSpace(value)
		}
	}
	return data, nil
}

func (c *Cluster) port() string { return strconv.Itoa(c.Port) }
