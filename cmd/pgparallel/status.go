package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
)

const statusUsage = `pgparallel status shows the backups that a server is sending.

Usage:
  pgparallel status [OPTION]...

Options:
      --watch            keep showing them, until interrupted
  -n, --interval=SECS    seconds between two updates of --watch (default: 2)
      --json             write one JSON object for each time on standard output

Connection options:
  -d, --dbname=CONNSTR   connection string
  -h, --host=HOSTNAME    server host or socket directory
  -p, --port=PORT        server port number (default: PGPORT, or 5432; that of
                         pgparallel serve is 5433)
  -U, --username=NAME    connect as specified user
  -w, --no-password      never prompt for password
  -W, --password         force password prompt (should happen automatically)

Other options:
  -V, --version          output version information, then exit
  -?, --help             show this help, then exit

If serve has rules (--hba), a role sees its own backups, and those of every role
only where its rule has monitor=1. Without rules every role sees them all.
`

type statusCommand struct {
	Watch    bool
	Interval watchInterval `short:"n" default:"2"`
	JSON     bool          `name:"json"`

	connectionOptions `embed:""`
}

// watchInterval is the value of --interval.
type watchInterval time.Duration

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (i *watchInterval) UnmarshalText(text []byte) error {
	seconds, err := parseInteger(text, "-n/--interval", 1, 3600)
	*i = watchInterval(time.Duration(seconds) * time.Second)
	return err
}

func (*statusCommand) usage() string { return statusUsage }

func (c *statusCommand) run(out *console) error {
	ctx, release := untilInterrupted(out)
	defer release()
	monitor, err := c.openMonitor(ctx, out)
	if err != nil {
		return err
	}
	defer monitor.Close()
	err = c.show(ctx, monitor, out)
	if _, interrupted := errors.AsType[*interruption](context.Cause(ctx)); interrupted && c.Watch {
		return nil // that is how watching ends
	}
	return err
}

// show shows the backups once, or again and again.
func (c *statusCommand) show(ctx context.Context, monitor *client.Monitor, out *console) error {
	screen := newStatusScreen(out)
	for {
		backups, err := monitor.Backups()
		if err != nil {
			return err
		}
		now := time.Now()
		if c.JSON {
			err = printStatusJSON(out, now, backups)
		} else {
			screen.show(now, backups, c.Watch)
		}
		if len(backups) == 0 && !c.Watch && !c.JSON {
			out.hint(othersHint)
		}
		if err != nil || !c.Watch {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Duration(c.Interval)):
		}
	}
}

// othersHint says why a backup that runs may not be shown.
const othersHint = "If serve has rules (--hba), backups of other roles are shown only where the rule of this role has monitor=1."

// openMonitor connects to the server, with a password where it wants one.
func (o connectionOptions) openMonitor(ctx context.Context, out *console) (monitor *client.Monitor, err error) {
	var options client.MonitorOptions
	if options.ConnInfo, err = o.connInfo(out.warning); err != nil {
		return nil, err
	}
	err = o.withPassword(ctx, &options.ConnInfo, out, func() (err error) {
		monitor, err = client.OpenMonitor(ctx, options)
		return err
	})
	if missing, ok := errors.AsType[*noPasswordError](err); ok {
		out.error(err)
		out.hint(missing.hint())
		return nil, errReported
	}
	if hint := defaultPortHint(err); hint != "" {
		out.error(err)
		out.hint(hint)
		return nil, errReported
	}
	return monitor, err
}

// statusJSON is the object that --json writes. Sizes are in bytes.
type statusJSON struct {
	Time    time.Time          `json:"time"`
	Backups []backupStatusJSON `json:"backups"`
}

type backupStatusJSON struct {
	Backup           string    `json:"backup"`
	Role             string    `json:"role"`
	Phase            string    `json:"phase"`
	StartPtr         string    `json:"startptr,omitempty"`
	Timeline         uint32    `json:"tli,omitempty"`
	Started          time.Time `json:"started"`
	Total            *int64    `json:"backup_total"` // null: not known
	Streamed         int64     `json:"backup_streamed"`
	Files            int64     `json:"files_sent"`
	Sessions         int64     `json:"sessions"`
	MaxRate          *int      `json:"max_rate"` // kB per second; null: no limit
	ThrottledMS      int64     `json:"throttled_ms"`
	ChecksumFailures int64     `json:"checksum_failures"`
	Label            string    `json:"label"`
}

func printStatusJSON(out *console, now time.Time, backups []protocol.BackupStatus) error {
	status := statusJSON{now.UTC(), []backupStatusJSON{}}
	for _, b := range backups {
		row := backupStatusJSON{
			Backup: b.Backup, Role: b.Role, Phase: b.Phase, Timeline: uint32(b.Timeline), Started: b.Started.UTC(),
			Streamed: b.Streamed, Files: b.Files, Sessions: b.Sessions, ThrottledMS: b.Throttled.Milliseconds(),
			ChecksumFailures: b.ChecksumFailures, Label: b.Label,
		}
		if b.Timeline != 0 {
			row.StartPtr = b.StartPtr.String()
		}
		if b.Total >= 0 {
			row.Total = &b.Total
		}
		if b.MaxRate > 0 {
			row.MaxRate = &b.MaxRate
		}
		status.Backups = append(status.Backups, row)
	}
	return json.NewEncoder(out.stdout).Encode(status)
}
