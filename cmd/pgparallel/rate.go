package main

import (
	"fmt"
	"strings"

	"github.com/pgparallel/pgparallel/client"
)

const rateUsage = `pgparallel rate changes the rate of a backup that runs.

Usage:
  pgparallel rate [OPTION]... RATE

RATE is the most that all its connections transfer together, in kB per second,
or with suffix "k" or "M", as -r of pgparallel backup; 0 for no limit.

Options:
      --backup=ID            the first 8 characters of the id of the backup, as
                             pgparallel status shows them (default: the one that
                             runs, where there is one only)

Connection options:
  -d, --dbname=CONNSTR       connection string
  -h, --host=HOSTNAME        server host or socket directory
  -p, --port=PORT            server port number (default: PGPORT, or 5432; that
                             of pgparallel serve is 5433)
  -U, --username=NAME        connect as specified user
  -w, --no-password          never prompt for password
  -W, --password             force password prompt (should happen automatically)

Other options:
  -V, --version              output version information, then exit
  -?, --help                 show this help, then exit
`

type rateCommand struct {
	Backup string
	Rate   newRate `arg:"" optional:""`

	connectionOptions `embed:""`
}

// newRate is the argument of rate.
type newRate struct {
	given bool
	kBps  int // 0 for no limit
}

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (r *newRate) UnmarshalText(text []byte) error {
	r.given = true
	if string(text) == "0" {
		return nil
	}
	var rate transferRate
	if rate.UnmarshalText(text) != nil {
		return usagef("invalid rate %q: kB per second, or with k or M, as 20M, from %d to %dM; 0 for no limit",
			text, client.MaxRateLower, client.MaxRateUpper>>10)
	}
	r.kBps = int(rate)
	return nil
}

func (*rateCommand) usage() string { return rateUsage }

func (c *rateCommand) run(out *console) error {
	if !c.Rate.given {
		return usagef("no rate specified")
	}
	ctx, release := untilInterrupted(out)
	defer release()
	monitor, err := c.openMonitor(ctx, out)
	if err != nil {
		return err
	}
	defer monitor.Close()
	backup := c.Backup
	if backup == "" {
		if backup, err = onlyBackup(monitor, out); err != nil {
			return err
		}
	}
	if err := monitor.SetRate(backup, c.Rate.kBps); err != nil {
		return err
	}
	out.info(rateText(backup, c.Rate.kBps))
	return nil
}

func rateText(backup string, kBps int) string {
	if kBps == 0 {
		return fmt.Sprintf("backup %s has no limit now", backup)
	}
	return fmt.Sprintf("backup %s is limited to %s now", backup, limit(kBps))
}

// onlyBackup is the backup that runs, where it is clear which one is meant.
func onlyBackup(monitor *client.Monitor, out *console) (string, error) {
	backups, err := monitor.Backups()
	switch {
	case err != nil:
		return "", err
	case len(backups) == 0:
		out.error(fmt.Errorf("no backup of role %q is running", monitor.Role))
		out.hint(othersHint)
		return "", errReported
	case len(backups) > 1:
		ids := make([]string, len(backups))
		for i, b := range backups {
			ids[i] = b.Backup
		}
		return "", fmt.Errorf("several backups are running: say by --backup which one of %s", strings.Join(ids, ", "))
	}
	return backups[0].Backup, nil
}
