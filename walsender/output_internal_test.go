package walsender

import (
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// The messages that are written out are those that pgproto3 would make.
func TestOutput_EncodedMessages(t *testing.T) {
	for text, messages := range map[string][]pgproto3.BackendMessage{
		copyOutResponse:             {&pgproto3.CopyOutResponse{}},
		copyDone + sendFileComplete: {&pgproto3.CopyDone{}, &pgproto3.CommandComplete{CommandTag: []byte("SEND_FILE")}},
		readyForQuery:               {&pgproto3.ReadyForQuery{TxStatus: 'I'}},
	} {
		var encoded []byte
		for _, m := range messages {
			var err error
			if encoded, err = m.Encode(encoded); err != nil {
				t.Fatal(err)
			}
		}
		if text != string(encoded) {
			t.Errorf("%q is written as %q", encoded, text)
		}
	}
}
