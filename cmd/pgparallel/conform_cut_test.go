package main

import (
	"os"
	"testing"
)

// TestConform_ListCut holds a reader who has seen enough of the list, as head, to be no
// failure.
func TestConform_ListCut(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	reader.Close()
	if status := run([]string{"conform", "list"}, writer, os.Stderr); status != 0 {
		t.Errorf("exit status %d", status)
	}
}
