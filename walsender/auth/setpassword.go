package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// SetPassword puts a user's line into a users file, in place of the one that the user
// had, whose groups stay unless others are given; any other line stays as it is. The file
// is replaced in one step and keeps its mode and owner; a new one can be read by its owner
// only. A file with something wrong in it is not touched.
func SetPassword(file, name string, v Verifier, groups ...string) error {
	if name == "" || strings.ContainsAny(name, "\r\n") {
		return fmt.Errorf("%q is no name of a user", name)
	}
	text, err := readFile(file, true)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return err
	}
	wrong := &problems{file: file}
	users := parseUsers(text, wrong)
	if len(wrong.list) > 0 {
		return errors.Join(wrong.list...)
	}
	if len(groups) == 0 {
		groups = users.byName[name].groups
	}
	return replaceFile(file, withLine(string(text), name, UserLine(name, v, groups...)))
}

// withLine replaces the user's line, or adds it.
func withLine(text, name, line string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, l := range lines {
		if words, err := userWords(strings.TrimRight(l, "\r\n")); err == nil && len(words) > 0 && words[0] == name {
			lines[i] = line + "\n"
			return strings.Join(lines, "")
		}
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + line + "\n"
}

func replaceFile(name, text string) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".users") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // where it has not become the other
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if info, statErr := os.Stat(name); err == nil && statErr == nil {
		err = f.Chmod(info.Mode().Perm())
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && err == nil {
			err = f.Chown(int(owner.Uid), int(owner.Gid))
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
