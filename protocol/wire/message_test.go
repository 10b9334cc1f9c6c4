package wire_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"
	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

func TestErrorRoundTrip(t *testing.T) {
	text := rapid.StringMatching(`[a-zé"]*`)
	rapid.Check(t, func(t *rapid.T) {
		want := &protocol.Error{
			Severity: rapid.SampledFrom([]string{"ERROR", "FATAL", "WARNING", "NOTICE"}).Draw(t, "severity"),
			Code:     rapid.StringMatching(`[0-9A-Z]{5}`).Draw(t, "code"),
			Message:  text.Draw(t, "message"),
			Detail:   text.Draw(t, "detail"),
			Hint:     text.Draw(t, "hint"),
			Position: rapid.IntRange(0, 1<<20).Draw(t, "position"),
		}
		message, err := wire.ErrorResponse(want).Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		var response pgproto3.ErrorResponse
		if err := response.Decode(message[5:]); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, wire.DecodeError(&response)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// A server before PostgreSQL 9.6 sends no unlocalized severity.
func TestDecodeErrorOfOldServer(t *testing.T) {
	got := wire.DecodeError(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "53300"})
	if !got.Fatal() {
		t.Errorf("severity is %q", got.Severity)
	}
}

func TestNoticeResponse(t *testing.T) {
	n := wire.NoticeResponse(protocol.Warningf("careful").WithHint("Look %s.", "up"))
	want := &pgproto3.NoticeResponse{
		Severity: "WARNING", SeverityUnlocalized: "WARNING", Code: "01000", Message: "careful", Hint: "Look up.",
	}
	if diff := cmp.Diff(want, n); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRowDescription(t *testing.T) {
	want := &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{
		{Name: []byte("spcoid"), DataTypeOID: 26, DataTypeSize: 4, TypeModifier: -1},
		{Name: []byte("spclocation"), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1},
		{Name: []byte("size"), DataTypeOID: 20, DataTypeSize: 8, TypeModifier: -1},
	}}
	if diff := cmp.Diff(want, wire.RowDescription(protocol.TablespaceColumns()...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := wire.RowDescription(protocol.FileColumns()...).Fields[1]; got.DataTypeOID != 18 || got.DataTypeSize != 1 {
		t.Errorf("type is %+v", got)
	}
	if got := wire.RowDescription(protocol.SettingColumns("block_size")...).Fields; len(got) != 1 || string(got[0].Name) != "block_size" {
		t.Errorf("columns of SHOW are %+v", got)
	}
}
