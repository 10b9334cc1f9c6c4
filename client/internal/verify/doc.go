// Package verify compares a backup with its backup_manifest, as pg_verifybackup does, and
// reads the WAL that the backup needs. It works on a data directory, and on tar archives as
// they are: archives are read from their beginning to their end, and never unpacked.
//
// [Run] takes these steps:
//
//	layout.go    what is in the directory: which format, which archives; a backup that is
//	             not finished is told as such
//	plain.go     walks a data directory
//	archives.go  or reads the archives; both give each file to
//	files.go     which compares it with the manifest
//	control.go   pg_control is of the system that the manifest names
//	wal.go       the WAL leads from the start of the backup to its end (which segments
//	             that takes: walchain.go; from where they are read: walread.go)
//
// What is wrong with the backup becomes a [Problem]; an error is only what leaves nothing to
// compare. The memory that a verification takes grows with the manifest, not with the
// backup.
//
// # Goroutines
//
// Config.Jobs goroutines read files of a directory, or one archive each. All of them end
// before Run returns.
package verify
