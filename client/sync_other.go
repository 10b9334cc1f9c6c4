//go:build !linux

package client

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// syncTrees makes the trees below the directories durable, file by file. It follows
// no links: each tablespace is a tree of its own.
func syncTrees(directories []*os.File) error {
	for _, d := range directories {
		err := filepath.WalkDir(d.Name(), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !(entry.IsDir() || entry.Type().IsRegular()) {
				return err
			}
			return syncFile(path)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func syncDirectoryOf(path string) error { return syncFile(filepath.Dir(path)) }

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !(runtime.GOOS == "windows" && errors.Is(err, fs.ErrPermission)) {
		return err
	}
	return nil
}
