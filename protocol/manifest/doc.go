// Package manifest reads and writes backup_manifest, the file in which a base backup says
// what it holds and which WAL it needs (PostgreSQL's documentation, "Backup Manifest
// Format"), and has the checksums of files that stand in it.
//
// [Read] takes a manifest only whole, and only if its own checksum is right. A [Writer]
// writes byte for byte what PostgreSQL writes.
//
// The package starts no goroutine and keeps no state. A Writer belongs to one goroutine.
package manifest
