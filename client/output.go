// Package output is the door between the run of a backup and what the backup is written
// as: the files and directories that a server has listed, where workers put the files that
// they receive, and the names that matter to a backup that is not complete yet (§5.6).
package client
