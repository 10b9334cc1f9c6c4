package clientkit

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// entry is a file, a directory or a link as it was found.
type entry struct {
	mode    fs.FileMode // with the type
	size    int64
	content []byte // of a small file; the target of a link
}

// kept is the size of the largest file whose content is compared.
const kept = 64 << 10

// snapshot is a directory and all below it, by path relative to it.
type snapshot map[string]entry

func takeSnapshot(root string) (snapshot, error) {
	s := snapshot{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{mode: info.Mode(), size: info.Size()}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			e.content = []byte(to)
		case info.IsDir():
			e.size = 0
		case info.Size() <= kept:
			if e.content, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		name, err := filepath.Rel(root, path)
		s[name] = e
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking at what the client left: %w", err)
	}
	return s, nil
}

// difference says in what s is not as it was before; empty where it is.
func (s snapshot) difference(before snapshot) string {
	var added, changed []string
	for name, now := range s {
		was, known := before[name]
		switch {
		case !known:
			added = append(added, name)
		case now.mode != was.mode:
			changed = append(changed, fmt.Sprintf("%s has the mode %v, which was %v", name, now.mode, was.mode))
		case now.size != was.size || !bytes.Equal(now.content, was.content):
			changed = append(changed, name+" has other contents")
		}
	}
	for name := range before {
		if _, there := s[name]; !there {
			changed = append(changed, name+" is gone")
		}
	}
	slices.Sort(added)
	slices.Sort(changed)
	switch {
	case len(added) > 1:
		changed = append(changed, fmt.Sprintf("%s and %d more were left behind", added[0], len(added)-1))
	case len(added) == 1:
		changed = append(changed, added[0]+" was left behind")
	}
	if len(changed) == 0 {
		return ""
	}
	return changed[len(changed)-1]
}
