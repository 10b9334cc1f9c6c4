package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	var text strings.Builder
	table{
		header: []string{"path", "wall, s", "×"},
		right:  2,
		rows:   [][]string{{"unix", "1.25 (1.00)", "0.5"}, {"×", "12", "10.25"}},
	}.write(&text)
	const want = `| path |     wall, s |     × |
| ---- | ----------: | ----: |
| unix | 1.25 (1.00) |   0.5 |
| ×    |          12 | 10.25 |
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}
