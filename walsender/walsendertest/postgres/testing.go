package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// TB is the part of [testing.TB] that this package needs. With it programs that
// are no tests can import the package without importing testing.
type TB interface {
	Helper()
	Cleanup(func())
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Require is [Find] for a test: without PostgreSQL it skips the test, or fails it
// where the variable PGPARALLEL_REQUIRE_POSTGRES is 1 in the environment.
func Require(t TB) Programs {
	t.Helper()
	p, err := Find()
	if err != nil {
		giveUp(t, err)
	}
	return p
}

// RequireMajor is the one of [All] that a test asks for. Where the machine does
// not have that major, the test is skipped, or fails as in [Require].
func RequireMajor(t TB, major int) Programs {
	t.Helper()
	all, err := All()
	if err != nil {
		giveUp(t, err)
	}
	for _, p := range all {
		if p.Major == major {
			return p
		}
	}
	giveUp(t, fmt.Errorf("%w: there is none of major version %d; make postgres fetches it", ErrNotFound, major))
	return Programs{} // giveUp does not return
}

func giveUp(t TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, ErrNotFound) && os.Getenv("PGPARALLEL_REQUIRE_POSTGRES") != "1":
		t.Skipf("needs PostgreSQL: %v", err)
	default:
		t.Fatalf("%v", err)
	}
}

// TempDir makes a directory for the test that the server's user owns and
// reaches, where testing's own TempDir is closed to it when root runs the test.
// It is removed when the test ends.
func (p Programs) TempDir(t TB) string {
	t.Helper()
	dir, err := p.MkdirTemp("", "pgparallel-test")
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("%v", err)
		}
	})
	return dir
}

// NewCluster makes a cluster for a test, in a directory of its own, as [Programs.Init]
// does, but as a copy of one that is kept in the cache folder: clusters that differ in
// Settings only have one system identifier. The cluster is not started; it is stopped and
// removed when the test ends.
func (p Programs) NewCluster(t TB, o InitOptions) *Cluster {
	t.Helper()
	return p.newCluster(t, o, p.copyTemplate)
}

// NewForeignCluster is [Programs.NewCluster] with a system identifier of its own.
func (p Programs) NewForeignCluster(t TB, o InitOptions) *Cluster {
	t.Helper()
	return p.newCluster(t, o, p.Init)
}

func (p Programs) newCluster(t TB, o InitOptions, make func(context.Context, string, InitOptions) (*Cluster, error)) *Cluster {
	t.Helper()
	c, err := make(t.Context(), filepath.Join(p.TempDir(t), "data"), o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	closeAtEnd(t, c)
	return c
}

// OpenCluster is [Programs.Own] and [Programs.At] for a test: the cluster in dir,
// which the server's user owns from now on. It is stopped when the test ends.
func (p Programs) OpenCluster(t TB, dir string) *Cluster {
	t.Helper()
	if err := p.Own(dir); err != nil {
		t.Fatalf("%v", err)
	}
	c, err := p.At(dir)
	if err != nil {
		t.Fatalf("%v", err)
	}
	closeAtEnd(t, c)
	return c
}

// NewStandby is [Cluster.Standby] for a test, in a directory of its own. The
// standby is not started; it is stopped and removed when the test ends.
func (c *Cluster) NewStandby(t TB, args ...string) *Cluster {
	t.Helper()
	standby, err := c.Standby(t.Context(), filepath.Join(c.Programs.TempDir(t), "data"), args...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	closeAtEnd(t, standby)
	return standby
}

func closeAtEnd(t TB, c *Cluster) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
}
