package datadir

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// unreadable gathers the files and directories of a listing that this process has no
// permission to read, so that they are told together.
type unreadable struct {
	names []string // the first of them, as messages show them
	count int
}

// maxUnreadable is how many names are told.
const maxUnreadable = 10

func (u *unreadable) add(name string) {
	if u.count++; len(u.names) < maxUnreadable {
		u.names = append(u.names, `"`+shown(name)+`"`)
	}
}

// err is the answer to a listing with such names, or nil.
func (u *unreadable) err() error {
	if u.count == 0 {
		return nil
	}
	text := strings.Join(u.names, ", ")
	if more := u.count - len(u.names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return protocol.Errorf(protocol.CodeIOError, "could not read %s: %s", text, reason(unix.EACCES)).
		WithHint("A backup holds all that is in the data directory. Let the user who runs the backup server read it, or move what is not the cluster's elsewhere.")
}

// checkReadable makes sure that a file can be opened. Of the process's own file the
// mode tells; only another user's costs a look.
func (w *walker) checkReadable(dir beneath.Dir, name string, st unix.Stat_t) error {
	if int(st.Uid) == w.uid {
		if w.uid != 0 && st.Mode&unix.S_IRUSR == 0 {
			return unix.EACCES
		}
		return nil
	}
	return dir.CheckReadable(name)
}
