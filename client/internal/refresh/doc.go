// Package refresh finds out which files of an earlier backup, or of one that was not finished,
// are what the server has now, and fetches of the others only the blocks that differ (§8.3). §
// is a section of protocol/PROTOCOL.md.
//
// # Why a refresh is as good as a new backup
//
// A base backup is a set of files, each read at some moment after the start of the backup,
// and the WAL from the start on. No two files, and no two pages of a relation, need be of one
// moment: replay begins at the start, and brings each page that was changed since to the same
// state, from whichever moment the copy has it. So a backup asks one thing of the bytes of a
// file: that they were the server's at some moment after the start.
//
// A refresh starts a backup first, and only then lists files and asks for digests. That the
// directories of the copy are claimed even ahead of START_BACKUP is as safe: it decides about no
// file, and takes no answer of the server's for one but the system identifier, which does not change.
// What it reads of the old backup says whether that may be touched at all, and a user hears of a
// refusal without having paid for a checkpoint. What becomes of a file, or of a directory that the
// server has not listed, is decided by what is read on both sides behind the start.
//
// To answer, the server reads the file at a moment after the start, and the bytes that are kept here
// equal the bytes that were read there. So they are what SEND_FILE would have sent at that moment, and it does not
// matter that they came years ago, or from what. Nothing is believed of what lies here: not
// that a manifest names it, nor its time, nor that an earlier run had compared it already. It
// is read now, and its digest has 128 bits or more: by XXH128, or by the algorithm of the
// manifest where that is one of SHA, so that one read and one sum are both. Two contents with the
// same are not to be expected in the life of all clusters, while of four billion changed blocks one
// is to be expected to keep its CRC-32C, and a stale page is damage that nobody sees. XXH128 withstands chance and not malice: who can contrive what
// PostgreSQL writes to the pages of a relation can have a stale page of this relation, and may
// choose SHA against it.
//
//   - A file that PostgreSQL writes as a whole, and replay does not mend (§4.6), is kept or
//     fetched as a whole, and only with the size that was listed.
//   - A relation is kept page by page. Each block that is kept equals the server's after the
//     start, each that is fetched is read after it. That is no other mixture than a server
//     produces that reads a file while another process writes it.
//   - A file that grows behind the digest is replay's to extend, and one that has become shorter
//     is replay's to truncate, as for a file that was sent (§5.2). One that is gone is asked for
//     by SEND_FILE, whose answer says so.
//   - Where the cluster does not recover, nothing may change: the second listing of §5.2 finds
//     what did, kept or sent.
//   - Damage: the server verifies the pages that it reads for a digest as it verifies those that
//     it sends, and counts them (§5.7). A page that is damaged here only differs from the
//     server's, and is fetched.
//   - The manifest's checksum of a file is of the bytes here: of a kept file, in the same
//     read that gave the digest; of one that was put together, added up of those of its blocks,
//     each of what was read or has arrived, or, where it is none of CRC-32C, of another read.
//
// # What is read is what the disk has
//
// The digest of a file proves something of the bytes that were read, and a backup promises
// something of those that are on disk. The two can differ: when a page cannot be written, the kernel
// tells whoever synchronizes next, once, and calls the page clean. A backup that failed for that
// leaves files that are whole as long as the page cache has them; the sync of a run that keeps
// them finds nothing to write. So, unless nothing is promised (NoSync), all that is there is
// synchronized before anything of it is read, by the calls of the last step, and an error ends the run. What
// is still dirty then is none of the earlier backup's. Each file is dropped from the page cache ahead
// of its digest (POSIX_FADV_DONTNEED drops clean pages), which is then one of what the disk has. A
// file that ends with a hole counts up to that only: its size may be nowhere but in memory. A copy
// of a kept file is made behind its digest, from what was read for that, and the last step
// synchronizes it; a second name, or shared blocks, are of the file on disk. Only Linux has these
// calls: elsewhere each file is synchronized, and the page cache believed.
//
// What the times of files are used for is the order of questions only: a file that the earlier
// manifest has with the time of now is asked for as a whole, another relation by blocks at once.
package refresh
