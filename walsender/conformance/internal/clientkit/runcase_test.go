package clientkit

import "testing"

func TestInWords(t *testing.T) {
	for fault, want := range map[string]string{
		`ErrorInFile("base/1/20000", 22, 58030)`: `error in file ("base/1/20000", 22, 58030)`,
		`EOFWithoutCopyDone("a")`:                `EOF without copy done ("a")`,
		`CutFile("aB(c", 1).Times(2)`:            `cut file ("aB(c", 1).Times(2)`,
	} {
		if got := inWords(fault); got != want {
			t.Errorf("%s: %s, want %s", fault, got, want)
		}
	}
}
