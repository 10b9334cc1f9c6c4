package protocol

// Names in the directory of a backup that is not finished (§5.6).
const (
	// IncompleteSuffix is behind the name of the file whose renaming makes a directory a
	// backup: of global/pg_control, or of archives.
	IncompleteSuffix = ".incomplete"
	// IncompleteMarker is a file in every directory that a backup of this project's client
	// fills.
	IncompleteMarker = "pgparallel.incomplete"
)
