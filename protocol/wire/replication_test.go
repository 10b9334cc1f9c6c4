package wire

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol"
)

// The bytes are those that PostgreSQL's documentation gives for the streaming protocol.
func TestReplicationMessages_9_2(t *testing.T) {
	now := postgresEpoch.Add(time.Second + time.Microsecond)
	const lsn = "\x00\x00\x00\x01\x02\x00\x00\x28"
	const moment = "\x00\x00\x00\x00\x00\x0f\x42\x41" // 1000001
	if got := string(AppendWALHeader(nil, 0x102000028, 0x30, now)); got != "w"+lsn+"\x00\x00\x00\x00\x00\x00\x00\x30"+moment || len(got) != WALHeader {
		t.Errorf("WAL: %q", got)
	}
	for reply, want := range map[bool]string{false: "\x00", true: "\x01"} {
		if got := string(AppendKeepalive(nil, 0x102000028, now, reply)); got != "k"+lsn+moment+want {
			t.Errorf("keepalive: %q", got)
		}
	}
	status := "r" + lsn + "\x00\x00\x00\x00\x00\x00\x00\x02" + "\x00\x00\x00\x00\x00\x00\x00\x03" + moment + "\x01"
	got, err := DecodeStandbyMessage([]byte(status))
	if diff := cmp.Diff(&StandbyStatus{0x102000028, 2, 3, true}, got); err != nil || diff != "" {
		t.Errorf("status: %v (-want +got):\n%s", err, diff)
	}
	if got, err := DecodeStandbyMessage([]byte("h" + moment + "1234123412341234")); got != nil || err != nil {
		t.Errorf("feedback: %v, %v", got, err)
	}
	for text, want := range map[string]string{
		"":                       "no data left in message",
		status[:len(status)-1]:   "insufficient data left in message",
		"h" + moment + "1234123": "insufficient data left in message",
		"z":                      `unexpected message type "z"`,
	} {
		_, err := DecodeStandbyMessage([]byte(text))
		e, _ := err.(*protocol.Error)
		if e == nil || e.Fatal() != (text == "z") || e.Code != protocol.CodeProtocolViolation || e.Message != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// Nothing that a peer sends makes the decoder panic or keep its bytes.
func FuzzDecodeStandbyMessage(f *testing.F) {
	f.Add([]byte("r12345678123456781234567812345678\x01"))
	f.Add([]byte("h123456781234123412341234"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		status, err := DecodeStandbyMessage(b)
		if status != nil && (err != nil || b[0] != KindStandbyStatus) || !bytes.Equal(before, b) {
			t.Errorf("%q: %v, %v", b, status, err)
		}
	})
}
