package protocol

// WALAccess is what becomes of the write-ahead log of a cluster while a backup of it
// runs: the value of the parameter [ParameterWAL] (§1.5).
type WALAccess string

const (
	// WALStreamed can be had by START_REPLICATION, which is passed on.
	WALStreamed WALAccess = "stream"
	// WALKept is removed by nobody: the cluster does not run.
	WALKept WALAccess = "kept"
	// WALTransient is kept as long as a cluster that runs likes to, and not to be had
	// but by SEND_FILE.
	WALTransient WALAccess = "transient"
)

// Names of parameters at the beginning of a session (§1.5).
const (
	ParameterWAL             = "parallel_backup_wal"              // a [WALAccess]
	ParameterPrimaryConnInfo = "parallel_backup_primary_conninfo" // host and port of the PostgreSQL whose WAL is streamed
)

// ParameterCheck is what SHOW answers with the error of a START_BACKUP, if it were sent
// now, or with "ok" (§4.9). The parameter of this name is "on" at the beginning of a
// session whose server answers so (§1.5).
const ParameterCheck = "parallel_backup_check"
