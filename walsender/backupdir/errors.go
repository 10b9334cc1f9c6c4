package backupdir

import (
	"errors"
	"io/fs"

	"github.com/pgparallel/pgparallel/protocol"
)

// damaged is the answer where the backup is not what its manifest says: in pg_verifybackup's
// words.
func damaged(format string, args ...any) *protocol.Error {
	return protocol.Errorf(protocol.CodeDataCorrupted, format, args...).
		WithHint("The backup is not as it was taken. Look at it with pgparallel verify, and take the copy from another one.")
}

// shown is a file name as a message shows it.
func shown(name string) string { return protocol.Shorten(name, 1024) }

func missing(name string) *protocol.Error {
	return damaged(`"%s" is present in the manifest but not on disk`, shown(name))
}

func extra(name string) *protocol.Error {
	return damaged(`"%s" is present on disk but not in the manifest`, shown(name))
}

func otherSize(name string, size, listed int64) *protocol.Error {
	return damaged(`"%s" has size %d on disk but size %d in the manifest`, shown(name), size, listed)
}

// changed is the answer to a backup that is another than the one that was opened.
func changed(format string, args ...any) *protocol.Error {
	return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the backup changed: "+format, args...).
		WithHint("This means that the copy being made is corrupt and should not be used. Make another one.")
}

// removed is the answer to WAL that the backup does not have.
func removed(segment string) *protocol.Error {
	return protocol.Errorf(protocol.CodeUndefinedFile, "requested WAL segment %s has already been removed", segment)
}

// ioError is the answer where a file of the backup could not be read.
func ioError(err error) error {
	failed, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err
	}
	return protocol.Errorf(protocol.CodeIOError, `could not %s file "%s": %v`, failed.Op, shown(failed.Path), failed.Err)
}
