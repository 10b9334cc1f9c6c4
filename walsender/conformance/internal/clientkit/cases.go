package clientkit

import (
	"slices"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// Cases are all cases that test clients, area by area.
func Cases() []Case {
	return slices.Concat(
		connectCases(), joinCases(), grammarCases(), planCases(), fileCases(), excuseCases(), retryCases(),
		controlCases(), stopCases(), walCases(), labelCases(), finishCases(), killCases(), failureCases(),
		hostileCases(), tablespaceCases(), modeCases(), unloggedCases(),
	)
}

// running is a primary that runs: its backups have a label.
const running = controlfile.StateInProduction

// standby is a standby that runs.
const standby = controlfile.StateInArchiveRecovery

// always are faults that do not depend on the site.
func always(faults ...walsendertest.Fault) func(site) []walsendertest.Fault {
	return func(site) []walsendertest.Fault { return faults }
}

// withFile adds a file to the cluster.
func withFile(path string, size int64) func(*walsendertest.Sample, site) {
	return func(s *walsendertest.Sample, _ site) {
		s.Files = append(s.Files, walsendertest.SampleFile{Path: path, Size: size})
	}
}

// withTablespace adds a tablespace, with a link.
func withTablespace(s *walsendertest.Sample, at site) {
	s.Tablespaces = append(s.Tablespaces, walsendertest.SampleTablespace{OID: tablespaceOID, Location: at.target.TablespaceOld})
}

// several is the placeholder of a client that can be told how many workers it has. One that
// copies everything over its first connection has none that could be refused.
func several() []string { return []string{"{jobs}"} }

// mapping are the placeholders of a client that can map tablespaces.
func mapping() []string { return []string{"{tablespace-old}", "{tablespace-new}"} }

// ioError is an error of the server that nothing excuses.
func ioError() *protocol.Error {
	return protocol.Errorf(protocol.CodeIOError, "%s", ioErrorText)
}

const ioErrorText = "could not read file: Input/output error"

// shutdown is what a server says when it is stopped.
func shutdown() *protocol.Error {
	return protocol.Fatalf(protocol.CodeAdminShutdown, "terminating connection due to administrator command")
}

// with is a list of checks with more behind it.
func with(checks []check, more ...check) []check { return append(checks, more...) }
