package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender"
)

// serveUntilSignal serves on the listeners until a signal ends the server, which is
// a success, or a listener fails. A terminal that goes away, or takes no more of the log,
// does not end it. SIGHUP reads the files of access again.
func serveUntilSignal(server *walsender.Server, listeners []net.Listener, access access, log *zap.Logger, out *console) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, unix.SIGHUP)
	defer signal.Stop(hangup)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT)
	defer signal.Stop(signals)

	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		log.Info(fmt.Sprintf("listening on %s", described(l)))
		go func() { failed <- server.Serve(l) }() // ends when the server is shut down
	}
	log.Info("ready to serve base backups")

	for {
		select {
		case <-hangup:
			log.Info("received SIGHUP")
			access.reload(log)
		case err := <-failed:
			server.Close()
			return fmt.Errorf("could not accept connections: %w", err)
		case s := <-signals:
			out.hurry()
			shutDown(server, s, signals, log)
			log.Info("server is shut down")
			return nil
		}
	}
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
