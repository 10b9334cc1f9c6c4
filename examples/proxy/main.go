// Proxy stands before a running PostgreSQL and adds the commands of parallel base
// backups to it. All else is passed on, but for the replication commands that it is
// told to deny.
//
//	proxy -D DATADIR -cluster CONNSTR [-passthrough CONNSTR] [-listen WHERE] [-deny COMMAND,...]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/protocol/conninfo"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
)

type options struct {
	dir, listen, deny    string
	cluster, passThrough string
}

func main() {
	var o options
	flag.StringVar(&o.dir, "D", os.Getenv("PGDATA"), "data `directory` of the running PostgreSQL")
	flag.StringVar(&o.cluster, "cluster", "", "connection `string` of a role that may take backups")
	flag.StringVar(&o.passThrough, "passthrough", "", "connection `string` for the other replication commands (default: as -cluster)")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:5433", "loopback address, or directory of a Unix socket with the number 5433")
	flag.StringVar(&o.deny, "deny", "", "replication `commands` to refuse, as in BASE_BACKUP,CREATE_REPLICATION_SLOT")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, log.New(os.Stderr, "", log.LstdFlags)); err != nil {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		os.Exit(1)
	}
}

// run is the program, until ctx ends. The log says where it listens.
func run(ctx context.Context, o options, logger *log.Logger) error {
	info, err := conninfo.Resolve(o.cluster, conninfo.Options{Database: "postgres"})
	if err != nil {
		return err
	}
	postgres, err := info.Configs()
	if err != nil {
		return err
	}
	cluster, err := livecluster.Open(ctx, o.dir, livecluster.Config{ConnString: o.cluster, PassThrough: o.passThrough})
	if err != nil {
		return err
	}
	defer cluster.Close()
	listener, err := listen(o.listen)
	if err != nil {
		return err
	}
	logger.Println("listening on", listener.Addr())

	rules := policy{denied: strings.Split(strings.ToUpper(o.deny), ","), log: logger}
	p := &proxy{server: &walsender.Server{Cluster: cluster, Authorize: rules.authorize}}
	p.network, p.address = pgconn.NetworkAddress(postgres[0].Host, postgres[0].Port)
	return p.serve(ctx, listener)
}

// listen listens where only users of this machine can get to: whoever can may read
// the whole cluster, for the server has no authentication.
func listen(where string) (net.Listener, error) {
	if strings.Contains(where, "/") {
		return walsender.ListenUnix(where, 5433)
	}
	listener, err := net.Listen("tcp", where)
	if err != nil {
		return nil, err
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("%s is not a loopback address", where), listener.Close())
	}
	return listener, nil
}
