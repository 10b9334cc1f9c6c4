package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client"
)

func TestProgressText(t *testing.T) {
	for _, c := range []struct {
		progress client.Progress
		want     string
	}{
		{client.Progress{}, "0/0 kB (100%)"},
		{client.Progress{Bytes: 12345 << 10, TotalBytes: 67890 << 10}, "12345/67890 kB (18%)"},
		{client.Progress{Bytes: 5 << 10, TotalBytes: 67890 << 10, Files: 1, TotalFiles: 2}, "    5/67890 kB (0%), 1/2 files"},
		{client.Progress{Bytes: 1 << 10, TotalBytes: 1 << 10, Files: 1, TotalFiles: 1}, "1/1 kB (100%), 1/1 file"},
		{client.Progress{Bytes: 3 << 10, TotalBytes: 2 << 10, TotalFiles: 9}, "3/3 kB (100%), 0/9 files"},
		{client.Progress{Bytes: 1 << 62, TotalBytes: 1 << 62}, "4503599627370496/4503599627370496 kB (100%)"},
	} {
		if got := progressText(c.progress); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.progress, got, c.want)
		}
	}
}

// Five reports a second are a line a second in a log, and the last one is there.
func TestProgressLine_Log(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr bytes.Buffer
		reportProgress(&console{stderr: &stderr})
		want := " 0/11 kB (0%)\n" +
			" 5/11 kB (45%)\n" +
			"10/11 kB (90%)\n" +
			"11/11 kB (100%)\n" +
			"pgparallel: done\n"
		if diff := cmp.Diff(want, stderr.String()); diff != "" {
			t.Error(diff)
		}
	})
}

// On a terminal each line replaces the one before, and nothing is written into it.
func TestProgressLine_Terminal(t *testing.T) {
	var stderr bytes.Buffer
	out := &console{stderr: &stderr, terminal: true}
	line := newProgressLine(out)
	line.update(client.Progress{Bytes: 1 << 10, TotalBytes: 99 << 10, TotalFiles: 10})
	line.update(client.Progress{Bytes: 99 << 10, TotalBytes: 99 << 10})
	out.warning("beware")
	line.finish()
	out.info("done")
	want := " 1/99 kB (1%), 0/10 files\r" +
		"99/99 kB (100%)          \r\n" +
		"pgparallel: warning: beware\n" +
		"pgparallel: done\n"
	if diff := cmp.Diff(want, stderr.String()); diff != "" {
		t.Error(diff)
	}
}

// Of a backup that ends before anything is known of it there is nothing to show.
func TestProgressLine_Nothing(t *testing.T) {
	var stderr bytes.Buffer
	line := newProgressLine(&console{stderr: &stderr})
	line.update(client.Progress{Phase: client.PhasePrepare})
	line.finish()
	if stderr.Len() > 0 {
		t.Errorf("got %q", stderr.String())
	}
}

// reportProgress is a backup of 11 kB that takes 2.2 s.
func reportProgress(out *console) {
	line := newProgressLine(out)
	for kB := range int64(12) {
		line.update(client.Progress{Bytes: kB << 10, TotalBytes: 11 << 10})
		time.Sleep(200 * time.Millisecond)
	}
	line.finish()
	out.info("done")
}
