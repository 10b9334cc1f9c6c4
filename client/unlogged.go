package client

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

// findInitForks looks for relations that have got an init fork since the files were
// listed, but whose other forks were copied: an index on an unlogged table has none
// while it is built (index_build in catalog/index.c).
func (b *backup) findInitForks(context.Context) error {
	if b.initForks == nil {
		b.initForks = map[string]int64{}
	}
	return b.listAgain(func(f protocol.File) error {
		if lacksInitFork(b.listing, f.Path) {
			b.initForks[f.Path] = f.ModTime.Unix()
		}
		b.warnOfConfiguration(f)
		return nil
	})
}

// warnOfConfiguration tells of a configuration file that came after the files were listed:
// where another one includes it, the copy does not start without it.
func (b *backup) warnOfConfiguration(f protocol.File) {
	if f.Type != protocol.TypeFile || path.Ext(f.Path) != ".conf" || b.warnedOf[f.Path] {
		return
	}
	if _, listed := b.listing.Find(f.Path); listed {
		return
	}
	if b.warnedOf == nil {
		b.warnedOf = map[string]bool{}
	}
	b.warnedOf[f.Path] = true
	b.events.tell(LevelWarning, "configuration file %q was created during the backup, and is not in it: a copy whose configuration includes it will not start", f.Path)
}

// markUnlogged gives these relations an empty init fork (§5.14). WAL replay makes the
// fork, and the start of the copy then fails where the old main fork is in the way; but
// where an init fork is there from the start, PostgreSQL removes the others before it
// replays. The second look finds those that came with the stop itself.
func (b *backup) markUnlogged(ctx context.Context) error {
	if !b.replayed() {
		return nil // no server wrote in between, see checkUnchanged
	}
	if err := b.findInitForks(ctx); err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(b.initForks)) {
		modTime := b.initForks[path]
		b.events.tell(LevelVerbose, "relation of %q has become unlogged: recovery will make it anew", path)
		if err := b.writeOwn(path, nil, modTime); err != nil {
			return err
		}
	}
	return nil
}

// lacksInitFork reports whether the path is one of an init fork that was not copied,
// unlike another fork of its relation.
func lacksInitFork(l *output.Listing, name string) bool {
	if !strings.HasSuffix(name, "_init") {
		return false
	}
	r, valid := protocol.ParseRelation(path.Base(name))
	if !valid || r.Fork != "init" || r.Segment != 0 || protocol.KindOfPath(name) != protocol.PathRelation || l.Has(name) {
		return false
	}
	main := strings.TrimSuffix(name, "_init")
	return l.Has(main) || l.Has(main+"_fsm") || l.Has(main+"_vm")
}
