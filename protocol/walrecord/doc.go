// Package walrecord reads write-ahead log as PostgreSQL's xlogreader.c does, as far as
// its soundness goes: the headers of pages and records, and the checksum of each record.
// What a record says is of no interest here, but for the few that a base backup begins
// and ends with, and those by which replay makes directories of what is not in the WAL.
//
// WAL is checked while it passes. A [Run] takes it from some position on, in pieces of
// any size. Runs that are neighbours are joined, with the record that lies across their
// border, so the segments of a backup may be checked side by side and in any order.
// A run takes less than three kilobytes, however long its records are, and 64 bytes and a
// path for each tablespace and database that they create.
package walrecord
