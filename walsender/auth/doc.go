// Package auth is the [walsender.Authenticator] that goes by files: rules in the
// grammar of pg_hba.conf, users with passwords as PostgreSQL stores them, and maps
// of names in the grammar of pg_ident.conf.
//
//	doors, err := auth.Open(auth.Config{HBA: "hba.conf", Users: "users.txt", TLS: true})
//	…
//	server := &walsender.Server{Cluster: cluster, TLSConfig: config, Authenticator: doors}
//	…
//	err = doors.Reload() // at SIGHUP
//
// # Rules
//
// A line is as in pg_hba.conf, and the first that fits decides:
//
//	# TYPE   DATABASE     USER      ADDRESS          METHOD         OPTIONS
//	local    replication  postgres                   peer
//	hostssl  replication  +backup   10.0.0.0/8       scram-sha-256  commands=backup
//	hostssl  replication  standby   samenet          cert           map=nodes
//	host     replication  all       127.0.0.1/32     reject
//
// Lines whose database does not include replication are read and never fit: they are
// for PostgreSQL's other connections. There are no host names, no includes, and none
// of PostgreSQL's methods but scram-sha-256, cert, peer, reject and trust. A further
// method, scram-sha-256-plus, insists on channel binding. Options besides PostgreSQL's
// map, clientcert and clientname:
//
//	commands=backup       the commands of a parallel backup only
//	commands=passthrough  what is passed on to PostgreSQL's own walsender only
//	monitor=1             to be told of the running backups of every role
//	insecure=1            that trust reaches beyond this machine is meant
//
// # Passwords
//
// Only SCRAM-SHA-256 is spoken, from verifiers: the server never has a password, and
// nobody who reads its files has one. A role that does not exist takes the same
// messages as one that does. Verifiers are those of the users file, of a query
// ([Config].Lookup), or nowhere but in PostgreSQL, which then verifies the peer itself
// ([Config].PassThrough): without channel binding, by which a peer can tell the roles of
// the users file from the others.
package auth
