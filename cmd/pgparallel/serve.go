package main

import (
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

const serveUsage = `pgparallel serve serves a stopped cluster for base backups.

Usage:
  pgparallel serve [OPTION]...

Options:
  -D, --pgdata=DATADIR   data directory of the cluster
  -k, --socketdir=DIRECTORY
                         directory of the Unix-domain socket, which only the
                         user who runs this can connect to
  -p, --port=PORT        number in the name of the socket (default: 5433)
      --listen=HOST:PORT listen on this TCP address, too; it must be a loopback
                         one, and --auth=trust must be given
      --auth=trust       let every user of this machine read the cluster
      --max-wal-senders=NUM
                         number of connections at once; a backup needs one more
                         than its --jobs (default: 10)
      --crashed          serve a cluster that was not shut down cleanly, too:
                         only if no server runs on it, on whatever machine
  -v, --verbose          log every command
  -V, --version          output version information, then exit
  -?, --help             show this help, then exit

If no data directory (DATADIR) is specified, the environment variable PGDATA
is used. SIGTERM and SIGINT end the sessions and the server; SIGQUIT, or a
second signal, does so without a word to the clients.
`

type serveCommand struct {
	Pgdata        string     `short:"D" env:"PGDATA"`
	Socketdir     string     `short:"k"`
	Port          portNumber `short:"p" default:"5433"`
	Listen        string
	Auth          authMethod
	MaxWALSenders senderCount `name:"max-wal-senders" default:"10"`
	Crashed       bool
	Verbose       bool `short:"v"`
}

func (*serveCommand) usage() string { return serveUsage }

func (c *serveCommand) run(out *console) error {
	switch {
	case c.Pgdata == "":
		return usagef("no data directory specified")
	case c.Listen != "" && c.Auth == "":
		return usagef("--listen requires --auth=trust: there is no other authentication yet")
	case c.Listen == "" && c.Auth != "":
		return usagef("--auth requires --listen")
	}
	cluster, err := datadir.Open(c.Pgdata, datadir.Options{Crashed: c.Crashed})
	if err != nil {
		return err
	}
	defer cluster.Close()
	listeners, err := listen(c.Socketdir, int(c.Port), c.Listen)
	if err != nil {
		return err
	}
	log := newLog(out.stderr, c.Verbose)
	server := &walsender.Server{Cluster: cluster, MaxWALSenders: int(c.MaxWALSenders), Logger: log}
	return serveUntilSignal(server, listeners, log)
}
