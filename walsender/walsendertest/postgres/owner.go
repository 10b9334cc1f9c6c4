package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user that the programs run as where this process is root's.
type account struct {
	syscall.Credential
	name string
}

// serverAccount is nil where the process may run the programs as it is.
func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("looking for a user to run PostgreSQL as: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", u.Username, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", u.Username, err)
	}
	return &account{syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, u.Username}, nil
}

// MkdirTemp makes a directory of mode 0700 that the server's user owns, as
// [os.MkdirTemp] does. The caller removes it.
func (p Programs) MkdirTemp(parent, pattern string) (string, error) {
	dir, err := os.MkdirTemp(parent, pattern)
	if err != nil {
		return "", err
	}
	if err := p.Own(dir); err != nil {
		os.Remove(dir) // empty and just made; the error that counts is Own's
		return "", err
	}
	return dir, nil
}

// Own gives everything at and below path to the server's user where this
// process is root's: a restored backup can be started then. Symbolic links are
// not followed, so each tablespace is named by its own path. Otherwise it
// changes nothing. It is an error if the user cannot get to path through the
// directories above.
func (p Programs) Own(path string) error {
	if p.user == nil {
		return nil
	}
	if err := p.user.reaches(path); err != nil {
		return err
	}
	err := filepath.WalkDir(path, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, int(p.user.Uid), int(p.user.Gid))
	})
	if err != nil {
		return fmt.Errorf("giving a directory to the user %s: %w", p.user.name, err)
	}
	return nil
}

// reaches reports, as an error, the directory above path that keeps the user out.
func (a *account) reaches(path string) error {
	dir, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	for dir != "/" {
		dir = filepath.Dir(dir)
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode()&a.searchBit(info) == 0 {
			return fmt.Errorf("the user %s, as which PostgreSQL runs, cannot get to %s: directory %s has mode %v",
				a.name, path, dir, info.Mode().Perm())
		}
	}
	return nil
}

// searchBit is the bit of a directory's mode that lets the user pass.
func (a *account) searchBit(info fs.FileInfo) fs.FileMode {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case ok && stat.Uid == a.Uid:
		return 0o100
	case ok && stat.Gid == a.Gid:
		return 0o010
	}
	return 0o001
}
