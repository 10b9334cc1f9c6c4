package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/pgparallel/pgparallel/sharedstate"
)

// A service manager may have started serve, and want to be told: systemd, by the socket in
// NOTIFY_SOCKET (sd_notify(3)).

// managerInterval is how old what the service manager shows may be.
const managerInterval = 10 * time.Second

// managerTicks says when to tell the manager that the server is alive: twice as often as
// it asks for (WATCHDOG_USEC), and for its display. stop must be called. The channel is
// nil where there is no manager.
func managerTicks() (ticks <-chan time.Time, stop func()) {
	told, err := daemon.SdNotify(false, "STATUS=starting")
	if !told || err != nil {
		return nil, func() {}
	}
	interval := managerInterval
	if limit, err := daemon.SdWatchdogEnabled(false); err == nil && limit > 0 {
		interval = min(interval, limit/2)
	}
	ticker := time.NewTicker(interval)
	return ticker.C, ticker.Stop
}

// tellManager tells the manager a state. That it does not listen is its own affair.
func tellManager(states ...string) { _, _ = daemon.SdNotify(false, strings.Join(states, "\n")) }

// tellManagerWaiting says that the start goes on: it takes as long as PostgreSQL needs, and
// the manager would end it after a time (TimeoutStartSec=).
func tellManagerWaiting() {
	tellManager("STATUS=waiting for the server of the cluster", fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (2*managerInterval).Microseconds()))
}

// backupsRunning is a line about the backups that run.
func backupsRunning(backups []sharedstate.Status) string {
	sent := int64(0)
	for _, b := range backups {
		sent += b.BytesSent
	}
	switch len(backups) {
	case 0:
		return "ready to serve base backups"
	case 1:
		return fmt.Sprintf("1 backup is running, %d MB are sent", sent>>20)
	}
	return fmt.Sprintf("%d backups are running, %d MB are sent", len(backups), sent>>20)
}
