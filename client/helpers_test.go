package client

import (
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

func read(t *testing.T, path ...string) string {
	t.Helper()
	return outputtest.Read(t, path...)
}

func must(t *testing.T, err error) {
	t.Helper()
	outputtest.Must(t, err)
}
