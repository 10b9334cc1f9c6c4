package livecluster_test

import (
	"context"
	"log"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
)

// A server beside a PostgreSQL that runs: it adds the commands of parallel backups, and
// passes the other replication commands on.
func ExampleOpen() {
	cluster, err := livecluster.Open(context.Background(), "/srv/pg/main", livecluster.Config{
		ConnString:  "host=/srv/pg/run user=backup",
		PassThrough: "host=/srv/pg/run user=passer",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	listener, err := walsender.ListenUnix("/srv/pg/run", 5433)
	if err != nil {
		log.Fatal(err)
	}
	server := &walsender.Server{Cluster: cluster}
	log.Fatal(server.Serve(listener))
}
