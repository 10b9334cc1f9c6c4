package main

import (
	"context"
	"os"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// sampleSource is a generated cluster, for machines without PostgreSQL.
type sampleSource struct {
	pages int // of each relation
}

func (sampleSource) mkdirTemp(parent, pattern string) (string, error) {
	return os.MkdirTemp(parent, pattern)
}

func (s sampleSource) create(_ context.Context, in demoDirs) (string, error) {
	sample := walsendertest.Sample{
		RelationPages: s.pages,
		SmallFiles:    500,
		Tablespaces:   []walsendertest.SampleTablespace{{OID: 16500, Location: in.tablespace}},
	}
	return "PostgreSQL is not installed: generated a sample cluster with one tablespace", sample.Write(in.data)
}

func (sampleSource) stock(context.Context, demoDirs, func(string)) error { return nil }

func (sampleSource) prove(_ context.Context, _ demoDirs, tell func(string)) error {
	tell("no server starts from a sample: install PostgreSQL to see a backup at work")
	return nil
}
