package protocol

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a line of the wrong form says is an error in its place; the lines behind it count.
func TestAncestors(t *testing.T) {
	content := "# comment\n\n1\t0/1000\tno recovery target specified\nx\t0/1\n1\n 2 0/2000\n3\tnowhere\n4294967296\t0/1\n"
	var got []Ancestor
	wrong := 0
	for a, err := range Ancestors(content) {
		if err != nil {
			wrong++
			continue
		}
		got = append(got, a)
	}
	if diff := cmp.Diff([]Ancestor{{1, 0x1000}, {2, 0x2000}}, got); diff != "" || wrong != 4 {
		t.Errorf("%d lines are wrong, want 4 (-want +got):\n%s", wrong, diff)
	}
	for range Ancestors(content) {
		break // no more is yielded
	}
}
