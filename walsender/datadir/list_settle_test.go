package datadir

import (
	"os"
	"testing"
	"testing/synctest"

	"github.com/pgparallel/pgparallel/protocol"
)

// TestFiles_4_5_TablespaceInTheMaking lists a tablespace of a running server between the
// two steps of its creation, and between those of its end.
func TestFiles_4_5_TablespaceInTheMaking(t *testing.T) {
	c := validControl()
	version := newRules(15, c).version()
	for name, test := range map[string]struct {
		then func(fixture)
		code string
	}{
		"it comes": {func(f fixture) { f.must(os.Mkdir(f.at("pg_tblspc/16400/"+version), 0o700)) }, ""},
		"it goes":  {func(f fixture) { f.must(os.Remove(f.at("pg_tblspc/16400"))) }, protocol.CodeUndefinedObject},
		"it stays": {func(fixture) {}, protocol.CodeIOError},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, c)
			f.must(os.Mkdir(f.at("pg_tblspc/16400"), 0o700))
			d := f.open()
			d.RecoveryOnRestore = true
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan error)
				go func() {
					var last error
					for _, err := range d.Files(t.Context(), "16400", func(*protocol.Error) {}) {
						last = err
					}
					ended <- last
				}()
				synctest.Wait() // it waits as well
				test.then(f)
				if err := <-ended; test.code == "" && err != nil || test.code != "" && code(err) != test.code {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// TestOpen_4_6_TablespaceOnItsWayOut asks for a file of a tablespace that a running server
// drops: what is left of it is not taken for a file system that is not mounted.
func TestOpen_4_6_TablespaceOnItsWayOut(t *testing.T) {
	c := validControl()
	version := newRules(15, c).version()
	for gone, want := range map[bool]string{true: protocol.CodeUndefinedFile, false: protocol.CodeIOError} {
		f := newFixture(t, c)
		f.must(os.Mkdir(f.at("pg_tblspc/16400"), 0o700))
		d := f.open()
		d.RecoveryOnRestore = true
		synctest.Test(t, func(t *testing.T) {
			ended := make(chan error)
			go func() {
				_, err := d.Open(t.Context(), "pg_tblspc/16400/"+version+"/5/20000", protocol.OpenOptions{})
				ended <- err
			}()
			synctest.Wait()
			if gone {
				f.must(os.Remove(f.at("pg_tblspc/16400")))
			}
			if err := <-ended; code(err) != want {
				t.Errorf("error %v, want SQLSTATE %s", err, want)
			}
		})
	}
}
