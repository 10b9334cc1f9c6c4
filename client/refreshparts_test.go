package client

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// partsOfBackup are backups of a sample with a tablespace, whose WAL has a directory of its own.
type partsOfBackup struct {
	location string // of the tablespace on the server
	dsn      string
	options  Options
	base     string // of all directories
	dir      string
}

// at is a directory of a backup of generation n, beside the data directory.
func (p *partsOfBackup) at(what string, n int) string {
	return filepath.Join(p.base, what+string(rune('0'+n)))
}

// into are the options of a backup that has the directories of generation n.
func (p *partsOfBackup) into(n int) Options {
	o := p.options
	o.Dir, o.WAL.Dir = p.dir, p.at("wal", n)
	o.TablespaceMap = map[string]string{p.location: p.at("space", n)}
	return o
}

func newPartsOfBackup(t *testing.T) *partsOfBackup {
	t.Helper()
	p := &partsOfBackup{location: filepath.Join(t.TempDir(), "location")}
	_, dsn := serveSampleOf(t, walsendertest.Sample{Databases: 1, Relations: 2, Tablespaces: []walsendertest.SampleTablespace{{OID: 16500, Location: p.location}}})
	config, err := pgconn.ParseConfig(dsn)
	must(t, err)
	p.dsn, p.options = dsn, Options{ConnConfig: config, NoSync: true, NoVerifyChecksums: true}
	return p
}

// take takes the backup of generation 1.
func (p *partsOfBackup) take(t *testing.T) {
	t.Helper()
	p.base = t.TempDir()
	p.dir = filepath.Join(p.base, "copy")
	_, err := Backup(t.Context(), p.into(1))
	must(t, err)
}

// check makes sure that the backup is whole, and that nothing is there but its directories, of
// generation n.
func (p *partsOfBackup) check(t *testing.T, n int) {
	t.Helper()
	if !isFinished(t, p.dir) {
		t.Error("it is not finished")
	}
	entries, err := os.ReadDir(p.base)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"copy", filepath.Base(p.at("space", n)), filepath.Base(p.at("wal", n))}; !slices.Equal(names, want) {
		t.Errorf("there is %q, want %q", names, want)
	}
}

// A backup that has directories of its own is refreshed beside the old one into others: what
// it keeps is shared with the old ones, which are whole until the switch, and then gone. Into the same
// ones it is refreshed in place only.
func TestRefresh_5_16_OtherDirectories(t *testing.T) {
	p := newPartsOfBackup(t)
	p.take(t)
	before := outputtest.Tree(t, p.base)
	for _, o := range []Options{p.into(1), p.into(2)} {
		o.Refresh = true
		if o.WAL.Dir == p.at("wal", 2) {
			o.WAL.Dir = filepath.Join(p.at("space", 1), "below")
		}
		if _, err := Backup(t.Context(), o); !errors.Is(err, ErrNeedsInPlace) {
			t.Errorf("the error is %v", err)
		}
		outputtest.SameTree(t, before, p.base)
	}
	o := p.into(2)
	o.Refresh = true
	seen := false
	o.step = func(step string) {
		if step == "switch" {
			seen = isFinished(t, p.dir)
		}
	}
	r, err := Backup(t.Context(), o)
	must(t, err)
	if !seen || r.KeptBytes < r.Bytes/2 {
		t.Errorf("%d bytes kept of %d; the old backup was whole ahead of the switch: %v", r.KeptBytes, r.Bytes, seen)
	}
	p.check(t, 2)

	// And back, and without a directory for WAL.
	o = p.into(1)
	o.Refresh, o.WAL.Dir = true, ""
	_, err = Backup(t.Context(), o)
	must(t, err)
	if !isFinished(t, p.dir) {
		t.Error("it is not finished")
	}
	if entries, err := os.ReadDir(p.base); err != nil || len(entries) != 2 {
		t.Errorf("there is %v, %v", entries, err)
	}
}

// What somebody has changed in a directory of the old backup, as a server that was started from a
// copy of its data directory, is not removed with it.
func TestRefresh_5_16_OldDirectoryInUse(t *testing.T) {
	p := newPartsOfBackup(t)
	p.take(t)
	relations, err := filepath.Glob(filepath.Join(p.at("space", 1), "PG_*/*/20000"))
	must(t, err)
	added := filepath.Join(filepath.Dir(relations[0]), "77777")
	o := p.into(2)
	o.Refresh = true
	o.step = func(step string) {
		if step == "switch" {
			must(t, os.WriteFile(added, []byte("a server's"), 0o600))
		}
	}
	warned := 0
	o.Log = func(e Event) {
		if e.Level == LevelWarning {
			warned++
		}
	}
	_, err = Backup(t.Context(), o)
	must(t, err)
	if got, err := os.ReadFile(added); string(got) != "a server's" || warned != 1 || !isFinished(t, p.dir) {
		t.Errorf("it holds %q, %v; %d warnings", got, err, warned)
	}
	if _, err := os.Stat(relations[0]); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(p.at("space", 1), output.MarkerFile)); err == nil {
		t.Error("it has a marker")
	}
}

// Whatever kills the refresh of a backup with directories of its own, its data directory leads to a
// backup that is whole, the old or the new one, and the next refresh leaves nothing else behind.
func TestRefresh_5_6_KilledWithOtherDirectories(t *testing.T) {
	checkKilledWithParts(t, []string{"copy files"}, []string{"exchanged", "held"})
}

func TestRefresh_5_6_KilledWithOtherDirectories_Long(t *testing.T) {
	longtest.Mark(t)
	p := newPartsOfBackup(t)
	p.take(t)
	var steps []string
	o := p.into(2)
	o.Refresh = true
	o.step = func(step string) { steps = append(steps, step) }
	_, err := Backup(t.Context(), o)
	must(t, err)
	checkKilledWithParts(t, steps[slices.Index(steps, "start backup"):], nil)
}

// behindSwitch are the states behind the switch, by what a kill there leaves of the one that is
// killed ahead of it, or behind it.
var behindSwitch = map[string]struct {
	step  string
	state func(t *testing.T, p *partsOfBackup, beside string)
}{
	"exchanged": {"switch", func(t *testing.T, p *partsOfBackup, beside string) {
		t.Helper()
		must(t, errors.Join(os.Rename(p.dir, beside+"-"), os.Rename(beside, p.dir), os.Rename(beside+"-", beside)))
	}},
	"marked": {"remove old backup", func(t *testing.T, _ *partsOfBackup, beside string) {
		t.Helper()
		must(t, os.Rename(filepath.Join(beside, output.ControlFileHeld), filepath.Join(beside, output.ControlFile)))
	}},
	"held": {"remove old backup", func(*testing.T, *partsOfBackup, string) {}},
	"half of a tablespace gone": {"remove old backup", func(t *testing.T, p *partsOfBackup, _ string) {
		t.Helper()
		must(t, os.RemoveAll(filepath.Join(p.at("space", 1), "PG_15_202209061/5")))
	}},
	"tablespace gone": {"remove old backup", func(t *testing.T, p *partsOfBackup, _ string) {
		t.Helper()
		must(t, os.RemoveAll(p.at("space", 1)))
	}},
	"half of the data directory gone": {"remove old backup", func(t *testing.T, p *partsOfBackup, beside string) {
		t.Helper()
		must(t, errors.Join(os.RemoveAll(p.at("space", 1)), os.RemoveAll(p.at("wal", 1)),
			os.RemoveAll(filepath.Join(beside, "base")), os.RemoveAll(filepath.Join(beside, output.ManifestFile))))
	}},
}

func checkKilledWithParts(t *testing.T, steps, states []string) {
	t.Helper()
	p := newPartsOfBackup(t)
	refresh := func(t *testing.T, n int) {
		t.Helper()
		if !isFinished(t, p.dir) {
			t.Error("it is not finished ahead of the next refresh")
		}
		o := p.into(n)
		o.Refresh = true
		_, err := Backup(t.Context(), o)
		must(t, err)
		p.check(t, n)
	}
	kill := func(t *testing.T, step string) {
		t.Helper()
		p.take(t)
		o := p.into(2)
		o.Refresh = true
		killIn(t, step, p.dsn, o)
	}
	for i, step := range steps {
		if step == "remove old backup" {
			continue // see behindSwitch
		}
		for _, next := range []int{2, 3} {
			if next == 3 && i <= slices.Index(steps, "create directories") && slices.Contains(steps, "create directories") {
				continue // nothing leads to the directories yet
			}
			t.Run(step+", then into "+string(rune('0'+next)), func(t *testing.T) {
				kill(t, step)
				refresh(t, next)
			})
		}
	}
	for name, behind := range behindSwitch {
		if states != nil && !slices.Contains(states, name) {
			continue
		}
		for _, next := range []int{1, 3} {
			t.Run(name+", then into "+string(rune('0'+next)), func(t *testing.T) {
				kill(t, behind.step)
				behind.state(t, p, p.dir+".pgparallel-refresh")
				refresh(t, next)
			})
		}
	}
}
