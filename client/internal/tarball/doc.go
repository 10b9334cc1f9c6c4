// Package tarball writes a backup as tar archives, as pg_basebackup -Ft does: base.tar, one
// archive for each tablespace, and pg_wal.tar for WAL that is streamed.
//
// [Archives] lie in a directory, which is a datatree.Tree with nothing else in it, or there is
// one archive, which goes to a writer. Each worker has a sink with which it adds files; a file
// becomes a member of the archive that its path belongs to. There are two kinds of archives:
//
//	tarFile    not compressed, in a file that can be written anywhere. Each member has an
//	           extent of its own, into which its worker writes while other workers write
//	           into theirs.
//	tarStream  compressed, or written to where nobody can seek. Workers take turns. A worker
//	           gathers small members in a batch, compresses the batch, and appends it in one
//	           turn. A large member goes straight into the archive or, while another worker
//	           has the turn, into a file without a name (spilled), which is appended later.
//
// The header of a member comes before its content. So a file keeps the size that the server has
// listed, whatever arrives. Files whose content is known only at the end are held in memory:
// global/pg_control, which comes last (§5.6), and files that the client appends to.
//
// The goroutine of the backup owns the Archives, and a worker its sink with its batches and its
// compressor. An archive is shared by all of them; its mutex, or its turns, guard it. No
// goroutine is started here. § is a section of protocol/PROTOCOL.md.
package tarball
