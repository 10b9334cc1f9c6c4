// Package backupdir serves a finished backup as the cluster that it was taken of (§9.3): a
// data directory or archives, with backup_manifest, on which no server has been started. So
// copies are made of the backup, and the cluster itself is not asked.
//
// What is served is what the manifest says: a file that is missing, has another size or is
// not in the manifest is an error and not sent, and neither is one with another checksum
// where checksums are verified. START_BACKUP and STOP_BACKUP give the backup's own label and
// positions.
package backupdir
