// Package walrecord reads write-ahead log as PostgreSQL's xlogreader.c does, as far as
// its soundness goes: the headers of pages and records, and the checksum of each record.
// What a record says is of no interest here, but for the few that a base backup begins
// and ends with.
//
// WAL is checked while it passes. A [Run] takes it from some position on, in pieces of
// any size. Runs that are neighbours are joined, with the record that lies across their
// border, so the segments of a backup may be checked side by side and in any order.
// A run takes less than a kilobyte, however long its records are.
package walrecord
