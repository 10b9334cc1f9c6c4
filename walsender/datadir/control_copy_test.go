package datadir

import (
	"os"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

// age makes the copy of pg_control one that was read so much later than it was.
func (d *Dir) age(by time.Duration) {
	c := *d.control.Load()
	c.read = c.read.Add(by)
	d.control.Store(&c)
}

// A change of pg_control shows at once, also behind a copy that is trusted: one in place, as
// PostgreSQL writes the file, and another file under the name.
func TestControl_CopyIsCurrent(t *testing.T) {
	c := validControl()
	f := newFixture(t, c)
	d := f.open()
	want := func(state controlfile.State) {
		t.Helper()
		got, err := d.Control(t.Context())
		f.must(err)
		if got.State != state {
			t.Errorf("state %v, want %v", got.State, state)
		}
	}
	want(controlfile.StateShutDown)
	d.age(cacheAge + 500*time.Millisecond) // it is trusted from here on
	trusted := d.control.Load()
	want(controlfile.StateShutDown)
	if d.control.Load() != trusted {
		t.Error("a file that has not changed was read again")
	}

	c.State = controlfile.StateInProduction
	before, err := d.root.Lstat(controlName)
	f.must(err)
	for after := before; after.Ctim == before.Ctim; { // a tick of the file system's clock
		f.must(os.WriteFile(f.at(controlName), c.Encode(), 0o600))
		after, err = d.root.Lstat(controlName)
		f.must(err)
	}
	want(controlfile.StateInProduction)

	d.age(cacheAge + 500*time.Millisecond)
	c.State = controlfile.StateShutDown
	f.write("global/new", c.Encode())
	f.must(os.Rename(f.at("global/new"), f.at(controlName)))
	want(controlfile.StateShutDown)
	f.must(os.Remove(f.at(controlName)))
	if _, err := d.Control(t.Context()); err == nil {
		t.Error("a file that is gone was read")
	}
}

// A copy is not trusted where a change might not show: right after the last one, within a tick
// of the clock, nor after a while, as where a network file system keeps the status.
func TestControl_CopyIsNotTrusted(t *testing.T) {
	f := newFixture(t, validControl())
	d := f.open()
	st, err := d.root.Lstat(controlName)
	f.must(err)
	changed := time.Unix(st.Ctim.Unix())
	for _, test := range []struct {
		read, now time.Duration // since the change
		want      bool
	}{
		{0, 0, false},
		{cacheAge, cacheAge, false},
		{cacheAge + 1, cacheAge + 1, true},
		{time.Hour, time.Hour + copyAge - 1, true},
		{time.Hour, time.Hour + copyAge, false},
	} {
		c := &controlCopy{stat: st, read: changed.Add(test.read)}
		if got := c.current(st, changed.Add(test.now)); got != test.want {
			t.Errorf("read after %v, now %v: %v", test.read, test.now, got)
		}
	}
}
