package postgres

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// StopMode is how a server is stopped: a mode of pg_ctl stop.
type StopMode string

// The ways to stop a server.
const (
	Smart     StopMode = "smart"     // waits for the sessions to end
	Fast      StopMode = "fast"      // ends the sessions, then shuts down cleanly
	Immediate StopMode = "immediate" // like a crash: recovery comes with the next start
)

// startTimeout bounds, in seconds, what pg_ctl waits for.
const startTimeout = "120"

// Start starts the server and waits until it takes connections (a standby:
// until it is consistent). The error of a failed start carries the end of what
// the server logged; the server does not run then. It outlives this process
// unless it is stopped.
func (c *Cluster) Start(ctx context.Context) error {
	before := fileSize(c.LogFile())
	_, err := c.Programs.Run(ctx, "pg_ctl", "start", "-D", c.Dir, "-w", "-t", startTimeout,
		"-l", c.LogFile(), "-o", c.serverOptions())
	if err == nil {
		return nil
	}
	if ctx.Err() != nil { // pg_ctl was killed, the server it started was not
		c.Stop(context.WithoutCancel(ctx), Immediate) // fails where it had not come to that
	}
	return fmt.Errorf("starting the server on %s: %w%s", c.Dir, err, c.logTail(before))
}

// Stop stops the server and waits until it has ended. A clean stop (not
// [Immediate]) leaves the state "shut down" in pg_control, on a standby "shut
// down in recovery".
func (c *Cluster) Stop(ctx context.Context, mode StopMode) error {
	before := fileSize(c.LogFile())
	_, err := c.Programs.Run(ctx, "pg_ctl", "stop", "-D", c.Dir, "-w", "-t", startTimeout, "-m", string(mode))
	if err != nil {
		return fmt.Errorf("stopping the server on %s: %w%s", c.Dir, err, c.logTail(before))
	}
	return nil
}

// Promote ends the standby's recovery and waits until it has become a primary.
func (c *Cluster) Promote(ctx context.Context) error {
	if _, err := c.Programs.Run(ctx, "pg_ctl", "promote", "-D", c.Dir, "-w", "-t", startTimeout); err != nil {
		return fmt.Errorf("promoting the server on %s: %w", c.Dir, err)
	}
	return nil
}

// serverOptions override what the data directory's own configuration says about
// sockets and logs: it may have come from another cluster. pg_ctl hands them to
// a shell.
func (c *Cluster) serverOptions() string {
	options := []string{
		"-p", c.port(),
		"-c", "unix_socket_directories=" + `"` + c.SocketDir + `"`, // a list, in which a comma would separate
		"-c", "listen_addresses=",
		"-c", "logging_collector=off",
		"-c", "log_destination=stderr",
	}
	for i, o := range options {
		options[i] = "'" + strings.ReplaceAll(o, "'", `'\''`) + "'"
	}
	return strings.Join(options, " ")
}

func fileSize(name string) int64 {
	info, err := os.Stat(name)
	if err != nil {
		return 0 // not there yet
	}
	return info.Size()
}

// logTail is the end of what the server logged after the byte offset, for an error's text.
func (c *Cluster) logTail(offset int64) string {
	const most = 4096
	log, err := os.Open(c.LogFile())
	if err != nil {
		return "" // no log was begun
	}
	defer log.Close()
	offset = max(offset, fileSize(c.LogFile())-most)
	text, err := io.ReadAll(io.NewSectionReader(log, offset, most))
	if err != nil {
		return fmt.Sprintf("\n(its log cannot be read: %v)", err)
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return ""
	}
	return "\nthe server's log:\n" + string(text)
}
