package main

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

func (b *backup) listFiles() error {
	now, err := b.askTablespaces()
	if err != nil {
		return err
	}
	if b.is("no-tablespaces-before") {
		b.tablespaces = now
	}
	if !b.is("lists-early") {
		if err := b.listNow(); err != nil {
			return err
		}
	}
	if !b.is("goes-on-without-control") && !b.listed(controlFile) {
		return errors.New("there is no pg_control")
	}
	return b.makeDirectories()
}

func (b *backup) listed(name string) bool {
	for _, f := range b.files {
		if f.Path == name {
			return true
		}
	}
	return false
}

func (b *backup) listNow() error {
	if err := b.list(""); err != nil {
		return err
	}
	if b.is("skips-tablespaces") {
		return nil
	}
	for _, t := range b.tablespaces {
		err := b.list(fmt.Sprint(t.OID))
		switch {
		case code(err) == protocol.CodeUndefinedObject && !b.is("dropped-is-fatal"):
			b.excuse = err
		case code(err) != "" && b.is("unreadable-is-dropped"):
			b.excuse = err
		case err != nil:
			return err
		}
	}
	return nil
}

func (b *backup) list(tablespace string) error {
	command := "LIST_FILES"
	if tablespace != "" {
		command += " " + b.quote(tablespace)
	}
	rows, err := b.leader.rows(command)
	if err != nil && !(b.is("ignores-listing-error") && len(rows) > 0) {
		return err
	}
	seen := map[string]bool{}
	for _, row := range rows {
		f, err := protocol.DecodeFile(row)
		if err != nil && !b.is("follows-paths") && !b.is("skips-bad-rows") {
			return err
		}
		if err != nil && b.is("skips-bad-rows") {
			continue
		}
		if seen[f.Path] && b.is("takes-the-first-of-two") {
			continue
		}
		if seen[f.Path] {
			return fmt.Errorf("%q is listed twice", f.Path)
		}
		seen[f.Path] = true
		if err := b.check(tablespace, f); err != nil {
			return err
		}
		b.files = append(b.files, f)
	}
	return nil
}

// check holds a row to its place.
func (b *backup) check(tablespace string, f protocol.File) error {
	if tablespace != "" && !strings.HasPrefix(f.Path, "pg_tblspc/"+tablespace+"/") && !b.is("tablespace-lists-anything") {
		return fmt.Errorf("%q is not in tablespace %s", f.Path, tablespace)
	}
	if below, within := strings.CutPrefix(f.Path, "pg_tblspc/"+tablespace+"/"); within && tablespace != "" && !b.is("tablespace-holds-anything") &&
		!strings.HasPrefix(below, fmt.Sprintf("PG_%d_", b.version/10000)) {
		return fmt.Errorf("%q is not of this cluster", f.Path)
	}
	if f.Type != protocol.TypeLink || b.is("any-link") {
		return nil
	}
	for _, t := range b.tablespaces {
		if f.Path == fmt.Sprintf("pg_tblspc/%d", t.OID) && !t.InPlace() {
			return nil
		}
	}
	return fmt.Errorf("%q is a link to nowhere", f.Path)
}

// makeDirectories makes what is no file.
func (b *backup) makeDirectories() error {
	for _, f := range b.files {
		var err error
		switch {
		case f.Type == protocol.TypeLink && b.spaces[f.Path] != "":
			err = b.link(f.Path)
		case f.Type == protocol.TypeDirectory && b.is("no-empty-directories") && path.Base(f.Path) == "pg_notify":
		case f.Type == protocol.TypeDirectory:
			err = b.mkdir(f.Path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
