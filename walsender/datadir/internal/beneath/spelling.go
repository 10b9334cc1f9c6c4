package beneath

import (
	"slices"
	"strings"
)

// FoldsCase reports whether a name that is spelled in other letters leads to the same
// file, as on macOS.
func (d *Dir) FoldsCase(name string) bool {
	spelled, err := d.Lstat(name)
	other, otherErr := d.Lstat(strings.ToLower(name))
	return err == nil && otherErr == nil && IDOf(spelled) == IDOf(other)
}

// Misspells reports whether a path beneath d is none that the directories list, letter
// for letter, though the file system may find something under it. All rules are about
// listed names: under another one a file would be another file to them. Names of digits
// alone, as most have, are not looked up; what cannot be read is left to the open.
func (d *Dir) Misspells(name string) bool {
	first, rest, more := strings.Cut(name, "/")
	if strings.Trim(first, "0123456789") != "" {
		names, err := d.namesOnce()
		if err == nil && !slices.Contains(names, first) {
			return true
		}
	}
	if !more {
		return false
	}
	sub, err := d.Sub(first)
	if err != nil {
		return false
	}
	defer sub.Close()
	return sub.Misspells(rest)
}
