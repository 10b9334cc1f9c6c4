package beneath

import (
	"slices"
	"strings"
)

func (d *diskDir) FoldsCase(name string) bool {
	spelled, err := d.Lstat(name)
	other, otherErr := d.Lstat(strings.ToLower(name))
	return err == nil && otherErr == nil && IDOf(spelled) == IDOf(other)
}

// Misspells looks at the names that the directories list. Names of digits
// alone, as most have, are not looked up; what cannot be read is left to the open.
func (d *diskDir) Misspells(name string) bool {
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
