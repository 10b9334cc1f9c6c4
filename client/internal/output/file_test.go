package output

import (
	"slices"
	"testing"
)

func TestFiles(t *testing.T) {
	list := &Files{}
	for _, f := range []File{{Path: "c", Size: 1}, {Path: "b", Size: 3}, {Path: "a", Size: 1}, {Path: "d", Size: 2}} {
		list.Add(f)
	}
	if got := list.Sorted(LargestFirst); !slices.Equal(got, []int32{1, 3, 2, 0}) {
		t.Errorf("the largest first: %v", got)
	}
	if got := list.Sorted(ByPath); !slices.Equal(got, []int32{2, 1, 0, 3}) {
		t.Errorf("by path: %v", got)
	}
	for i := list.Len(); i < 3*filesPerBlock; i++ {
		list.Add(File{Size: int64(i)})
		if list.Len() != i+1 || list.At(int32(i)).Size != int64(i) {
			t.Fatalf("file %d is lost", i)
		}
	}
}
