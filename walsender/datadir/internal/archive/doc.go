// Package archive has the archives of a backup in tar format for a directory: what base.tar,
// those of the tablespaces and pg_wal.tar hold lies beneath it as it would lie in the data
// directory that is extracted from them.
//
// The headers are read once, when the archives are opened; what they say is kept in memory,
// some hundred bytes a file. Files are read where they lie. Archives must be uncompressed.
// Whoever has written one, no name in it leads out of the backup, and nothing is listed
// whose bytes are not there.
package archive
