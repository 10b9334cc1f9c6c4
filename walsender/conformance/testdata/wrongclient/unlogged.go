package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// lookAhead looks for what has become unlogged, before STOP_BACKUP (§5.14).
func (b *backup) lookAhead() error {
	if b.is("looks-for-forks-after-stop-only") {
		return nil
	}
	return b.lookForForks()
}

// lookBehind looks again after STOP_BACKUP, and writes the forks.
func (b *backup) lookBehind() error {
	if b.stop.Label == "" {
		return nil
	}
	if !b.is("looks-for-forks-before-stop-only") {
		if err := b.lookForForks(); err != nil {
			return err
		}
	}
	for _, f := range b.initForks {
		if err := b.write(f.Path, nil); err != nil {
			return err
		}
		if !b.is("manifest-without-forks") {
			sum := manifest.File{}.Algorithm.New()
			b.done[f.Path] = manifest.File{Path: f.Path, ModTime: f.ModTime, Checksum: sum.Sum(nil)}
		}
	}
	return nil
}

// lookForForks lists the files again.
func (b *backup) lookForForks() error {
	commands := []string{"LIST_FILES"}
	for _, t := range b.tablespaces {
		if b.is("skips-tablespaces") {
			break
		}
		commands = append(commands, "LIST_FILES "+b.quote(fmt.Sprint(t.OID)))
	}
	for _, command := range commands {
		rows, err := b.leader.rows(command)
		if err != nil && code(err) == "" {
			return err
		}
		for _, row := range rows {
			f, err := protocol.DecodeFile(row)
			main, isInit := strings.CutSuffix(f.Path, "_init")
			if err == nil && isInit && b.listed(main) && !b.listed(f.Path) && !slices.ContainsFunc(b.initForks, func(known protocol.File) bool { return known.Path == f.Path }) {
				b.initForks = append(b.initForks, f)
			}
		}
	}
	return nil
}
