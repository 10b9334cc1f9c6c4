package datadir

import (
	"errors"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// shown is a file name as a message shows it.
func shown(name string) string { return protocol.Shorten(name, 1024) }

// reason is the system's word for what failed, in PostgreSQL's spelling: with a
// capital, and without the path that Go puts before it.
func reason(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	text := err.Error()
	if text == "" {
		return "unknown error"
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// ioError is the answer to a failure that must never be mistaken for a file
// that is gone: `could not read file "base/1/2": Input/output error`.
func ioError(doing, name string, err error) *protocol.Error {
	return protocol.Errorf(protocol.CodeIOError, `could not %s "%s": %s`, doing, shown(name), reason(err))
}

// openError is the answer to a file that could not be opened: gone with ENOENT
// and nothing else (§4.6).
func openError(name string, err error) *protocol.Error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return gone(name)
	case errors.Is(err, unix.EISDIR):
		return protocol.Errorf(protocol.CodeWrongObjectType, `"%s" is a directory`, shown(name))
	case errors.Is(err, beneath.ErrSpecial):
		return notPart(name)
	}
	return ioError("open file", name, err)
}

func gone(name string) *protocol.Error {
	return protocol.Errorf(protocol.CodeUndefinedFile, `could not open file "%s": %s`, shown(name), reason(unix.ENOENT))
}

func notPart(name string) *protocol.Error {
	return protocol.Errorf(protocol.CodeInsufficientPrivilege, `file "%s" is not part of a base backup`, shown(name))
}
