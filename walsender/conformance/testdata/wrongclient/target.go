package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// occupied is a directory that is written.
type occupied struct {
	path string
	made []string // outermost first
	mode fs.FileMode
}

func (b *backup) vacant() error {
	entries, err := os.ReadDir(b.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(entries) > 0 && !b.is("writes-into-anything") {
		return fmt.Errorf("%s is not empty", b.dir)
	}
	return err
}

// occupy makes the directories.
func (b *backup) occupy() error {
	if err := b.occupyOne(b.dir); err != nil {
		return err
	}
	for _, t := range b.tablespaces {
		link := fmt.Sprintf("pg_tblspc/%d", t.OID)
		switch {
		case t.InPlace() && !b.is("in-place-needs-mapping"):
			continue
		case t.Location != b.from && !b.is("unmapped-goes-anywhere"):
			return fmt.Errorf("no mapping for %s", t.Location)
		}
		b.spaces[link] = b.to
		if t.Location != b.from {
			b.spaces[link] = t.Location
		}
		if err := b.occupyOne(b.spaces[link]); err != nil {
			return err
		}
	}
	return nil
}

func (b *backup) occupyOne(path string) error {
	o := occupied{path: path}
	for dir := path; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil {
			if dir == path {
				o.mode = info.Mode().Perm()
			}
			break
		}
		o.made = append([]string{dir}, o.made...)
	}
	if err := os.MkdirAll(path, b.mode); err != nil {
		return err
	}
	b.occupied = append(b.occupied, o)
	if b.is("keeps-mode-of-target") {
		return nil
	}
	return os.Chmod(path, b.mode)
}

// undo leaves everything as it was.
func (b *backup) undo() {
	if b.is("leaves-residue") || b.is("removes-nothing-after-stop") && b.stop.StartPtr != 0 {
		return
	}
	for i, o := range b.occupied {
		if i > 0 && b.is("forgets-tablespaces") {
			continue
		}
		entries, _ := os.ReadDir(o.path)
		for _, e := range entries {
			if e.Name() != "precious" {
				os.RemoveAll(filepath.Join(o.path, e.Name()))
			}
		}
		if o.made == nil && !b.is("forgets-mode") {
			os.Chmod(o.path, o.mode)
		}
		if b.is("removes-what-was-there") {
			os.Remove(o.path)
		}
		for j := len(o.made) - 1; j >= 0; j-- {
			if j < len(o.made)-1 && b.is("leaves-parents") {
				break
			}
			os.Remove(o.made[j])
		}
	}
}

func (b *backup) place(path string) string { return filepath.Join(b.dir, path) }

func (b *backup) exists(path string) bool {
	_, err := os.Lstat(b.place(path))
	return err == nil
}

func (b *backup) mkdir(path string) error {
	place := b.place(path)
	if b.is("follows-paths") {
		os.MkdirAll(place, b.mode)
		if filepath.IsAbs(path) {
			os.MkdirAll(path, b.mode)
		}
		return nil
	}
	if err := os.Mkdir(place, b.mode); err != nil {
		return err
	}
	return os.Chmod(place, b.mode)
}

func (b *backup) link(path string) error {
	if b.is("links-to-the-source") {
		return os.Mkdir(b.place(path), b.mode)
	}
	return os.Symlink(b.spaces[path], b.place(path))
}

func (b *backup) create(path string) (*os.File, error) {
	flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if b.is("goes-on-behind-the-break") {
		flags = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	f, err := os.OpenFile(b.place(path), flags, b.mode&^0o111)
	if err != nil {
		return nil, err
	}
	return f, f.Chmod(b.mode &^ 0o111)
}

func (b *backup) write(path string, content []byte) error {
	f, err := b.create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
