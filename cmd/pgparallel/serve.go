package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
)

const serveUsage = `pgparallel serve serves a cluster for base backups, parallel ones and those of
pg_basebackup: a stopped one, a running one beside its server, or a finished
backup. The write-ahead log of what does not run is streamed as well.

Usage:
  pgparallel serve [OPTION]...

Options:
  -D, --pgdata=DATADIR   data directory of the cluster; or a backup with its
                         backup_manifest, in plain format or in uncompressed
                         archives
  -k, --socketdir=DIRECTORY
                         directory of the Unix-domain socket (default:
                         /var/run/postgresql, or /tmp where there is none)
  -p, --port=PORT        number in the name of the socket (default: 5433)
      --crashed          serve a cluster that was not shut down cleanly, too:
                         only if no server runs on it, on whatever machine
      --verify           verify the checksum of each file of a backup by its
                         manifest before the file is sent, not its size alone
      --drop-cache       drop from the page cache what a backup has read and was
                         not there before, so that the database keeps there what
                         it works with (Linux)
      --newest-major=NUM try versions of PostgreSQL after 19, up to this one,
                         and betas, as if they were 19: for tests only
      --config=FILE      take options from this file; see below
      --check-config     check the options, the files they name and the cluster,
                         then exit

Options for limits:
      --max-wal-senders=NUM
                         number of connections at once (default: with --cluster
                         PostgreSQL's max_wal_senders, else 10); a backup needs
                         its --jobs, one to lead it, and one for a stream of
                         the WAL
      --wal-sender-timeout=TIME
                         close a connection whose client reads nothing for so
                         long (default: 60s, and 1h while a file is sent); 0
                         for never. A number without a unit is in milliseconds
      --max-backups=NUM  number of backups at once (default: 10)
      --reserved-connections=NUM
                         connections besides, for roles that watch the server
                         with monitor=1 (default: 3)
      --authentication-timeout=TIME
                         close a connection that was not let in for so long
                         (default: 1min)
      --digest-cache=SIZE
                         memory for digests of files that nobody has written to
                         since, so that a client that brings an old copy up to
                         date need not have them read again (default: 64MB, for
                         some 120,000 files); 0 for none

Options for the log:
      --log-format=FORMAT
                         "text" or "json" (default: text)
      --log-level=LEVEL  "debug" (every command), "info", "warning" or "error"
                         (default: info)
  -v, --verbose          --log-level=debug

Options for monitoring:
      --metrics-listen=[HOST:]PORT
                         serve metrics for Prometheus (/metrics) and probes
                         (/healthz, /readyz) by HTTP on this address; on the
                         loopback one where there is no host, on every one of
                         this machine where it is *

Options for who may connect:
      --listen=HOST:PORT listen on this TCP address, too; can be given several
                         times. * stands for every address of this machine
      --hba=FILE         let in whom these rules let in, which are written as in
                         PostgreSQL's pg_hba.conf
      --socket-mode=MODE who can connect to the Unix-domain socket, in octal, as
                         PostgreSQL's unix_socket_permissions (default: 0600,
                         the user who runs this)
      --users=FILE       users with their passwords, as pgparallel passwd writes
                         them, and pgbouncer's userlist.txt
      --ident=FILE       maps of users, written as in PostgreSQL's pg_ident.conf
      --tls-cert=FILE    the server's certificate
      --tls-key=FILE     its private key
      --tls-ca=FILE      authorities that clients' certificates are checked with
      --tls-crl=FILE     certificates that they have revoked
      --tls-self-signed=DIRECTORY
                         make a certificate and a key there, for trying out
      --auth=trust       without --hba: let every user of this machine read the
                         cluster over TCP

Options for a running cluster:
      --cluster=CONNSTR  connect to the server of the data directory, as a role
                         that may take backups
      --passthrough=CONNSTR
                         connect there for all other replication commands
                         (default: as --cluster)
      --passthrough-superuser=ROLE
                         let them be run by this superuser
      --auth-query=SQL   ask the server of --cluster for the passwords of roles
                         that are not in --users: a query with the role as $1,
                         as pgbouncer's auth_query
      --auth-passthrough let the server of --passthrough verify the passwords of
                         roles that are not in --users: they log in there with
                         scram-sha-256, without channel binding
      --wait             wait for PostgreSQL where it is not started yet

Other options:
      --allow-root       run as root, too: serve needs no right of root
  -V, --version          output version information, then exit
  -?, --help             show this help, then exit

A connection string (CONNSTR) is libpq's, with the same environment variables,
service files and password file; the database is postgres if none is named, and
for --passthrough it is replication in the password file.

A configuration file is written as postgresql.conf: lines of name = value, where
the name is an option's with _ for -, as log_format, and on stands for an option
without a value; several addresses for listen are separated by commas. Variables
of the environment, as PGPARALLEL_CONFIG or PGPARALLEL_LOG_FORMAT, set options,
too. The command line comes before the environment, and that before the file.

If no data directory (DATADIR) is specified, the environment variable PGDATA
is used. SIGTERM and SIGINT end the sessions and the server; SIGQUIT, or a
second signal more than a second later, does so without a word to the clients.
SIGHUP reads the files of --config, --hba, --users, --ident and TLS again; where
one is wrong, what was read before stays. Of the options in the file, log_level
takes effect then; the others at the next start.

Under systemd (Type=notify) serve tells when it is ready, reads its files
again or ends, and what backups run; it keeps the time of WatchdogSec=.
`

type serveCommand struct {
	Pgdata      string     `short:"D" env:"PGDATA"`
	Socketdir   string     `short:"k"`
	Port        portNumber `short:"p" default:"5433"`
	Crashed     bool
	Verify      bool
	NewestMajor int
	DropCache   bool

	limitOptions  `embed:""`
	configOptions `embed:""`
	logOptions    `embed:""`
	accessOptions `embed:""`

	MetricsListen metricsAddress
	AllowRoot     bool

	Cluster              string
	Wait                 bool
	Passthrough          string
	PassthroughSuperuser string

	announce func() // says what is served, when the server listens; nil: there is nothing to say
	refuses  bool   // no backup can be taken at the start
}

func (*serveCommand) usage() string { return serveUsage }

func (c *serveCommand) run(out *console) error {
	set, err := c.configure()
	if err != nil {
		reportAll(err, out)
		return errReportedUsage
	}
	if err := c.check(); err != nil {
		return err
	}
	if os.Geteuid() == 0 && !c.AllowRoot && !c.CheckConfig {
		out.error(errors.New(`"root" execution of the server is not permitted`))
		out.hint("Start it as the user who owns the data directory, as by runuser -u postgres -- pgparallel serve, or permit it by --allow-root.")
		return errReported
	}
	log := c.logOptions.open(out.stderr)
	for _, variable := range c.unknown {
		log.Warn(fmt.Sprintf("environment variable %q sets nothing: no option has this name", variable))
	}
	if c.CheckConfig {
		return c.checkAll(log, out)
	}
	var cluster servedCluster
	access, err := c.accessOptions.open(log, out, func() clusterRoles { return cluster.(*livecluster.Cluster) })
	if err != nil {
		return err
	}
	if cluster, err = c.open(log); err != nil {
		return err
	}
	defer cluster.Close()
	if cluster.Untested() {
		log.Warn("this version of PostgreSQL is not supported: a backup that succeeds may be worthless", zap.Int("major", cluster.Major()))
	}
	listeners, metrics, err := c.listen()
	if err != nil {
		return err
	}
	server := &walsender.Server{Cluster: cluster, Logger: log}
	c.limitOptions.bound(server)
	if server.Digests, err = c.limitOptions.digests(); err != nil {
		return err
	}
	defer server.Digests.Close()
	access.protect(server)
	service := &service{server: server, access: access, options: c, set: set, log: log}
	if metrics != nil {
		s := serveMetrics(metrics, newServerMetrics(server).registry(), whenFound(listeners[0], server.Ready), log)
		defer s.close()
	}
	return service.serveUntilSignal(listeners, out)
}

// checkAll tries the files of the options, the cluster and the addresses, and tells all
// that is wrong with them at once.
func (c *serveCommand) checkAll(log *zap.Logger, out *console) error {
	_, accessErr := c.accessOptions.open(log, out, nil) // which has told what is wrong
	cluster, clusterErr := c.open(log)
	if clusterErr == nil {
		cluster.Close()
	} else {
		out.error(clusterErr)
	}
	inUse, listenErr := c.checkListen()
	if listenErr != nil {
		out.error(listenErr)
	}
	switch {
	case accessErr != nil || clusterErr != nil || listenErr != nil:
		return errReported
	case inUse != nil:
		out.info(fmt.Sprintf("the configuration is sound; something listens on one of its addresses now: %v", inUse))
	default:
		out.info("the configuration is sound")
	}
	return nil
}

// check refuses options that do not fit each other.
func (c *serveCommand) check() error {
	switch {
	case c.Pgdata == "":
		return usagef("no data directory specified")
	case c.Crashed && c.Cluster != "":
		return usagef("--crashed is for a cluster that does not run, --cluster for one that does")
	case c.Verify && c.Cluster != "":
		return usagef("--verify is for a backup, --cluster for a cluster that runs")
	case c.Cluster == "" && (c.Passthrough != "" || c.PassthroughSuperuser != ""):
		return usagef("--passthrough and --passthrough-superuser require --cluster")
	case c.Cluster == "" && c.Wait:
		return usagef("--wait requires --cluster")
	case c.Cluster == "" && (c.AuthQuery != "" || c.AuthPassthrough):
		return usagef("--auth-query and --auth-passthrough require --cluster")
	}
	return c.accessOptions.check()
}

// servedCluster is a cluster that is closed when the server has ended.
type servedCluster interface {
	walsender.Cluster
	io.Closer
	Major() int
	Untested() bool
}

// open opens the running cluster where there is a connection string for it, else what lies
// in the directory.
func (c *serveCommand) open(log *zap.Logger) (servedCluster, error) {
	if c.Cluster == "" {
		return c.openStopped(log)
	}
	live, err := c.openRunning(livecluster.Config{
		ConnString:           c.Cluster,
		PassThrough:          c.Passthrough,
		PassThroughSuperuser: c.PassthroughSuperuser,
		AuthQuery:            c.AuthQuery,
		AuthPassThrough:      c.AuthPassthrough,
		NewestMajor:          c.NewestMajor,
		DropCache:            c.DropCache,
		Logger:               log,
	}, log)
	if err == nil && c.MaxWALSenders == 0 {
		c.MaxWALSenders = senderCount(live.MaxWALSenders())
	}
	return live, err
}

// openRunning opens the running cluster. With --wait, one that does not run yet is tried
// again each second; a signal ends that as it ends any program.
func (c *serveCommand) openRunning(config livecluster.Config, log *zap.Logger) (*livecluster.Cluster, error) {
	for waiting := false; ; waiting = true {
		live, err := livecluster.Open(context.Background(), c.Pgdata, config)
		if !c.Wait || !errors.Is(err, livecluster.ErrUnavailable) {
			return live, err
		}
		if !waiting {
			log.Info("waiting for the server of the cluster", zap.Error(err))
		}
		tellManagerWaiting()
		time.Sleep(time.Second)
	}
}
