// Package clientkit has the cases that test clients, and runs them.
//
// # How the kit is built
//
// A [Case] is a rule, a scenario and checks. The scenario says what the client meets: a
// small cluster, what goes wrong in its server, how the target is found, when the client
// is killed. The checks say what the client is held to.
//
// [Runner.Run] runs one case, from top to bottom of runcase.go: it makes the cluster and
// its server (package walsendertest), readies the target, takes a snapshot of it, has the
// client take its backup, and takes another snapshot. All that can be known afterwards is
// the evidence: what was said on the connections, how the client ended, and what the
// client left on disk. The checks look at nothing else, and the first of them that is not
// kept is the finding.
//
// # Where things are
//
//	cases.go cases_*.go     the cases, a file for one area of their IDs or for a few
//	scenario.go             what a client can meet; the names in the small cluster
//	clusters.go             clusters that wait, lie or break: what no fault of walsendertest does
//	oddnames_*.go           a file name that is not UTF-8, where the file system has them
//	client.go               the client under test, as the package sees it
//	runcase.go trace.go     one case, from its server to its finding
//	evidence.go             what is known afterwards …
//	exchange.go             … of the connections: commands and their answers
//	snapshot.go             … of the disk
//	watch*.go               … of the order in which names appeared there
//	check_wire.go           checks of what was said
//	check_exit.go           checks of how the client ended
//	check_tree.go           check that the backup is the cluster, byte for byte
//	check_finish.go         checks of manifest, archive status, modes, and what a killed client left
//
// # What has no case
//
//   - That a stream and its slot are used as §5.13 says: the servers of the kit pass no
//     command of PostgreSQL's on. How often a client looks for WAL is its own choice.
//   - That workers connect to the very address that the leader reached (§4.2): each server
//     has one address.
//
// # A new case
//
// A new case is a value in the file of its area. It counts as tested when a client that
// is wrong in just that fails it: see testdata/wrongclient of package conformance.
package clientkit
