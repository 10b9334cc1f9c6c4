package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender"
)

// service is a server that runs, with what can be changed about it while it serves.
type service struct {
	server  *walsender.Server
	access  access
	options *serveCommand
	set     configuration // as it was at the start
	log     *zap.Logger
}

// serveUntilSignal serves on the listeners until a signal ends the server, which is
// a success, or a listener fails. A terminal that goes away, or takes no more of the log,
// does not end it. SIGHUP reads the files again.
func (s *service) serveUntilSignal(listeners []net.Listener, out *console) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, unix.SIGHUP)
	defer signal.Stop(hangup)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT)
	defer signal.Stop(signals)

	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		s.log.Info(fmt.Sprintf("listening on %s", described(l)))
		go func() { failed <- s.server.Serve(l) }() // ends when the server is shut down
	}
	if s.options.announce != nil {
		s.options.announce()
	}
	if s.options.refuses {
		s.log.Info("ready to serve base backups, as soon as one can be taken")
	} else {
		s.log.Info("ready to serve base backups")
	}
	ticks, stop := managerTicks()
	defer stop()
	s.tell(daemon.SdNotifyReady)

	for {
		select {
		case <-hangup:
			s.reload()
		case <-ticks:
			s.tell(daemon.SdNotifyWatchdog)
		case err := <-failed:
			s.server.Close()
			return fmt.Errorf("could not accept connections: %w", err)
		case received := <-signals:
			out.hurry()
			tellManager(daemon.SdNotifyStopping)
			shutDown(s.server, received, signals, s.log)
			s.log.Info("server is shut down")
			return nil
		}
	}
}

// reload reads the files of the options again, and the log's level.
func (s *service) reload() {
	s.log.Info("received SIGHUP")
	tellManager(daemon.SdNotifyReloading, daemon.SdNotifyMonotonicUsec())
	s.reconfigure()
	s.access.reload(s.log)
	s.tell(daemon.SdNotifyReady)
}

// tell tells the service manager a state, and what the server does.
func (s *service) tell(state string) {
	tellManager(state, "STATUS="+backupsRunning(s.server.Backups.Backups()))
}

// shutDown ends the server as the signal says: PostgreSQL's immediate shutdown for
// SIGQUIT and for a deliberate second signal, else the fast one.
func shutDown(server *walsender.Server, s os.Signal, more <-chan os.Signal, log *zap.Logger) {
	if s == unix.SIGQUIT {
		log.Info("received immediate shutdown request")
		server.Close()
		return
	}
	log.Info("received fast shutdown request")
	patience, end := context.WithCancel(context.Background())
	defer end()
	began := time.Now()
	go func() { // ends with patience
		for {
			select {
			case <-more:
				if time.Since(began) >= deliberate {
					log.Info("received immediate shutdown request")
					end()
				}
			case <-patience.Done():
				return
			}
		}
	}()
	_ = server.Shutdown(patience) // it tells that patience has ended
}
