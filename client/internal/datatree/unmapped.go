package datatree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// systemDirectories are where no tablespace is.
var systemDirectories = []string{
	"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/root", "/run", "/sbin", "/sys", "/usr",
	"/var/cache", "/var/lib/dpkg", "/var/lib/rpm", "/var/lib/systemd", "/var/log", "/var/run", "/var/spool",
	"/Applications", "/Library", "/System", "/private/etc", "/private/var/db",
}

// TablespaceError says that a tablespace cannot be written to the directory that the server
// names, and no mapping names another.
type TablespaceError struct {
	OID      uint32
	Location string // the directory
	Err      error  // what is wrong with it
}

// Error is what is wrong with the directory.
func (e *TablespaceError) Error() string { return e.Err.Error() }

func (e *TablespaceError) Unwrap() error { return e.Err }

// checkUnmapped judges the location of a tablespace that the server has named, and no
// mapping: a server that lies must not have files written to wherever this user may
// (§5.9). It has to be in a directory that exists and is the user's, or to be there and
// be the user's, and to be no place where programs look for what is theirs.
func checkUnmapped(oid uint32, location string) error {
	if reason := whyNoTablespace(location); reason != "" {
		return fmt.Errorf("directory %q of tablespace %d, which the server has named, is not taken: %s; if it is the right one, map it to itself: -T %s=%s",
			location, oid, reason, location, location)
	}
	return nil
}

func whyNoTablespace(location string) string {
	dir, rest, err := existing(location)
	if err != nil {
		return err.Error()
	}
	path := filepath.Join(dir, rest)
	if strings.Contains(location, "/.") || strings.Contains(path, "/.") {
		return "it is hidden"
	}
	if home, err := os.UserHomeDir(); err == nil && Within(home, path) {
		return "it is, or holds, the home directory"
	}
	for _, system := range systemDirectories {
		if Within(path, system) || Within(system, path) {
			return fmt.Sprintf("%s belongs to the system", system)
		}
	}
	if strings.Contains(rest, "/") {
		return "its parent directory does not exist"
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return err.Error()
	case err != nil:
		return output.Cause(err).Error()
	case !isOurs(info):
		return fmt.Sprintf("directory %q belongs to another user", dir)
	}
	return ""
}

// isOurs reports whether a directory is the user's; everything is root's.
func isOurs(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (os.Geteuid() == 0 || int(stat.Uid) == os.Geteuid())
}
