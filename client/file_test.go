package client

import (
	"slices"
	"testing"
)

func TestFiles(t *testing.T) {
	list := &files{}
	for _, f := range []file{{path: "c", size: 1}, {path: "b", size: 3}, {path: "a", size: 1}, {path: "d", size: 2}} {
		list.add(f)
	}
	if got := list.sorted(largestFirst); !slices.Equal(got, []int32{1, 3, 2, 0}) {
		t.Errorf("the largest first: %v", got)
	}
	if got := list.sorted(byPath); !slices.Equal(got, []int32{2, 1, 0, 3}) {
		t.Errorf("by path: %v", got)
	}
	for i := list.len(); i < 3*filesPerBlock; i++ {
		list.add(file{size: int64(i)})
		if list.len() != i+1 || list.at(int32(i)).size != int64(i) {
			t.Fatalf("file %d is lost", i)
		}
	}
}
