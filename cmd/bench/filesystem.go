package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// filesystem is a line of /proc/self/mounts.
type filesystem struct {
	place, kind string
	options     []string
}

// filesystemOf is the file system that holds a path, by the table of mounts: the last of those
// that are nearest.
func filesystemOf(mounts, path string) filesystem {
	var found filesystem
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		place := strings.ReplaceAll(fields[1], `\040`, " ")
		below := path == place || strings.HasPrefix(path, strings.TrimSuffix(place, "/")+"/")
		if below && len(place) >= len(found.place) {
			found = filesystem{place: place, kind: fields[2], options: strings.Split(fields[3], ",")}
		}
	}
	return found
}

// lookUpFilesystem is the file system of a directory of this machine.
func lookUpFilesystem(dir string) (filesystem, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return filesystem{}, err
	}
	path, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return filesystem{}, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return filesystem{}, err
	}
	return filesystemOf(string(mounts), path), nil
}

// String is what the table says.
func (f filesystem) String() string {
	if huge := f.huge(); huge != "" {
		return f.kind + " " + huge
	}
	return f.kind
}

func (f filesystem) huge() string {
	i := slices.IndexFunc(f.options, func(option string) bool { return strings.HasPrefix(option, "huge=") && option != "huge=never" })
	if f.kind != "tmpfs" || i < 0 {
		return ""
	}
	return f.options[i]
}

// checkSmallFiles refuses a file system in memory where each file takes a huge page: most of the
// time would go into clearing them. shmem is /sys/kernel/mm/transparent_hugepage/shmem_enabled,
// which has the value in force in brackets.
func (f filesystem) checkSmallFiles(shmem string) error {
	switch {
	case f.kind != "tmpfs", strings.Contains(shmem, "[deny]"):
		return nil
	case strings.Contains(shmem, "[force]"):
		return fmt.Errorf("every file takes a huge page in %s: shmem_enabled is force", f.place)
	case f.huge() == "huge=always":
		return fmt.Errorf("every file takes a huge page in %s: it is mounted with huge=always", f.place)
	}
	return nil
}
