package clientkit

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// TestExchanges reads a transcript of two sessions, one of which sends ahead.
func TestExchanges(t *testing.T) {
	var said walsendertest.Transcript
	add := func(session string, from walsendertest.Speaker, texts ...string) {
		for _, text := range texts {
			said = append(said, walsendertest.Message{Seq: len(said) + 1, Session: session, From: from, Text: text, Times: 1})
		}
	}
	add("A", walsendertest.FromWire, "connected")
	add("A", walsendertest.FromServer, "AuthenticationOk", "ReadyForQuery I")
	add("A", walsendertest.FromClient, "STOP_BACKUP")
	add("B", walsendertest.FromServer, "ReadyForQuery I")
	add("A", walsendertest.FromServer, `DataRow ("0/1", NULL, "a\n\"b\"")`, "CommandComplete STOP_BACKUP")
	add("B", walsendertest.FromClient, "SEND_FILE ('it''s')", "send_file ('pg_wal/x')")
	add("A", walsendertest.FromServer, "ReadyForQuery I")
	add("B", walsendertest.FromServer, "ErrorResponse ERROR 58P01 gone", "ReadyForQuery I", "CopyOutResponse", "CopyDone")
	add("A", walsendertest.FromClient, `\quit`)

	got := exchanges(said)
	want := []*exchange{
		{session: "A", text: "STOP_BACKUP", verb: "STOP_BACKUP", asked: 4, answered: 10, complete: true, rows: [][]string{{"0/1", null, "a\n\"b\""}}},
		{session: "B", text: "SEND_FILE ('it''s')", verb: "SEND_FILE", path: "it's", asked: 8, answered: 12, code: "58P01"},
		{session: "B", text: "send_file ('pg_wal/x')", verb: "SEND_FILE", path: "pg_wal/x", asked: 9, copied: true},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(exchange{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	stop, gone, wal := got[0], got[1], got[2]
	switch {
	case !stop.ok() || gone.ok() || wal.ok():
		t.Error("only STOP_BACKUP succeeded")
	case !gone.data() || wal.data():
		t.Error("only the first file is data")
	case !gone.before(wal) || stop.before(gone) || wal.before(gone):
		t.Error("only the two files come one after the other")
	}
}
