package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/internal/protocoltest"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"pgregory.net/rapid"
)

// startupPackets are packets that can be decoded again.
func startupPackets() *rapid.Generator[wire.StartupPacket] {
	name := rapid.StringMatching(`[a-zA-Z_.]{1,20}`).Filter(func(s string) bool { return !strings.HasPrefix(s, "_pq_.") })
	value := rapid.StringMatching(`[^\x00]{0,20}`)
	return rapid.OneOf(
		rapid.Just[wire.StartupPacket](wire.SSLRequest{}),
		rapid.Just[wire.StartupPacket](wire.GSSENCRequest{}),
		rapid.Custom(func(t *rapid.T) wire.StartupPacket {
			return wire.CancelRequest{
				ProcessID: rapid.Uint32().Draw(t, "pid"),
				SecretKey: rapid.SliceOfN(rapid.Byte(), 4, 256).Draw(t, "key"),
			}
		}),
		rapid.Custom(func(t *rapid.T) wire.StartupPacket {
			m := wire.StartupMessage{
				Major:      3,
				Minor:      rapid.Uint16().Draw(t, "minor"),
				Parameters: rapid.MapOfN(name, value, 0, 10).Draw(t, "parameters"),
				Options:    rapid.SliceOfN(rapid.StringMatching(`_pq_\.[a-z_]{0,20}`), 0, 5).Draw(t, "options"),
			}
			m.Parameters["user"] = rapid.StringMatching(`[^\x00]{1,20}`).Draw(t, "user")
			return m
		}),
	)
}

func TestStartupPacketRoundTrip_1_1(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := startupPackets().Draw(t, "packet")
		sent := bytes.NewReader(want.Encode([]byte("x"))[1:])
		got, err := wire.ReadStartupPacket(iotest.OneByteReader(sent))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// What a client sends behind a packet stays where it is: nothing that came before
// TLS began may be taken for something that came through it.
func TestReadStartupPacketExactly_1_2(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := bytes.NewBuffer(startupPackets().Draw(t, "packet").Encode(nil))
		sent.WriteString("behind")
		if _, err := wire.ReadStartupPacket(sent); err != nil {
			t.Fatal(err)
		}
		if got := sent.String(); got != "behind" {
			t.Fatalf("left behind: %q", got)
		}
	})
}

// The packets are the ones that pgproto3 writes.
func TestDecodeStartupPacketOfPgproto3(t *testing.T) {
	for _, test := range []struct {
		from pgproto3.FrontendMessage
		want wire.StartupPacket
	}{
		{&pgproto3.SSLRequest{}, wire.SSLRequest{}},
		{&pgproto3.GSSEncRequest{}, wire.GSSENCRequest{}},
		{&pgproto3.CancelRequest{ProcessID: 7, SecretKey: []byte("key!")}, wire.CancelRequest{ProcessID: 7, SecretKey: []byte("key!")}},
		{
			&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "u", "replication": "true"}},
			wire.StartupMessage{Major: 3, Parameters: map[string]string{"user": "u", "replication": "true"}},
		},
	} {
		sent, err := test.from.Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.ReadStartupPacket(bytes.NewReader(sent))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// packet is a startup packet with a code and a body of any kind.
func packet(code uint32, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	b = binary.BigEndian.AppendUint32(b, code)
	return append(b, body...)
}

const (
	cancelCode = 80877102
	sslCode    = 80877103
	gssCode    = 80877104
	version3   = 3 << 16
)

func TestReadStartupPacketErrors_1_1(t *testing.T) {
	const (
		length     = "FATAL: invalid length of startup packet (SQLSTATE 08P01)"
		terminator = "FATAL: invalid startup packet layout: expected terminator as last byte (SQLSTATE 08P01)"
		noUser     = "FATAL: no PostgreSQL user name specified in startup packet (SQLSTATE 28000)"
	)
	for _, test := range []struct {
		name string
		sent []byte
		want string
	}{
		{"nothing", nil, "EOF"},
		{"half a length", []byte{0, 0}, "could not read startup packet: unexpected EOF"},
		{"length alone", []byte{0, 0, 0, 8}, "could not read startup packet: unexpected EOF"},
		{"cut", packet(version3, "user\x00u\x00\x00")[:12], "could not read startup packet: unexpected EOF"},
		{"length 0", []byte{0, 0, 0, 0}, length},
		{"length 7", []byte{0, 0, 0, 7, 0, 0, 0}, length},
		{"length 10001", []byte{0, 0, 0x27, 0x11}, length},
		{"length 2^32-1", []byte{0xff, 0xff, 0xff, 0xff}, length},
		{"TLS", []byte{0x16, 3, 1, 2, 0}, length},
		{"behind SSLRequest", packet(sslCode, "x"), length},
		{"behind GSSENCRequest", packet(gssCode, "x"), length},
		{"cancel without a key", packet(cancelCode, "\x00\x00\x00\x01"), length},
		{"cancel, short key", packet(cancelCode, "\x00\x00\x00\x01123"), length},
		{"cancel, long key", packet(cancelCode, "\x00\x00\x00\x01"+strings.Repeat("k", 257)), length},
		{"protocol 2.0", packet(2<<16, "\x00"), "FATAL: unsupported frontend protocol 2.0: server supports 3.0 to 3.0 (SQLSTATE 0A000)"},
		{"protocol 4.1", packet(4<<16|1, "\x00"), "FATAL: unsupported frontend protocol 4.1: server supports 3.0 to 3.0 (SQLSTATE 0A000)"},
		{"unknown request", packet(gssCode+1, ""), "FATAL: unsupported frontend protocol 1234.5681: server supports 3.0 to 3.0 (SQLSTATE 0A000)"},
		{"no terminator at all", packet(version3, ""), terminator},
		{"no terminator", packet(version3, "user\x00u\x00"), terminator},
		{"name without a value", packet(version3, "user\x00"), terminator},
		{"name alone", packet(version3, "user"), terminator},
		{"value cut", packet(version3, "user\x00u"), terminator},
		{"behind the terminator", packet(version3, "user\x00u\x00\x00x"), terminator},
		{"two terminators", packet(version3, "user\x00u\x00\x00\x00"), terminator},
		{"no user", packet(version3, "\x00"), noUser},
		{"empty user", packet(version3, "user\x00\x00\x00"), noUser},
	} {
		_, err := wire.ReadStartupPacket(bytes.NewReader(test.sent))
		protocoltest.WantText(t, test.name, err, test.want)
	}
	if _, err := wire.DecodeStartupPacket([]byte{0, 3, 0}); err == nil {
		t.Error("DecodeStartupPacket accepts three bytes")
	}
}

func TestReadStartupPacketLongest_7_1(t *testing.T) {
	body := "user\x00" + strings.Repeat("u", 10_000-8-len("user\x00\x00\x00")) + "\x00\x00"
	sent := packet(version3, body)
	if len(sent) != 10_000 {
		t.Fatalf("the packet has %d bytes", len(sent))
	}
	if _, err := wire.ReadStartupPacket(bytes.NewReader(sent)); err != nil {
		t.Error(err)
	}
}

func TestReadStartupPacketReadError(t *testing.T) {
	broken := errors.New("broken")
	sent := wire.SSLRequest{}.Encode(nil)
	for cut := range sent {
		_, err := wire.ReadStartupPacket(io.MultiReader(bytes.NewReader(sent[:cut]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) {
			t.Errorf("broken after %d bytes: %v", cut, err)
		}
	}
}

func TestStartupMessageLastValueCounts(t *testing.T) {
	p, err := wire.ReadStartupPacket(bytes.NewReader(packet(version3, "user\x00a\x00user\x00b\x00\x00")))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.(wire.StartupMessage).Parameters["user"]; got != "b" {
		t.Errorf("user is %q", got)
	}
}

// A parameter's value cannot bring in another parameter.
func TestStartupMessageEncodeNUL(t *testing.T) {
	p := wire.StartupMessage{Major: 3, Parameters: map[string]string{"user": "u\x00replication\x00true", "": "x", "\x00y": "z"}}
	got, err := wire.ReadStartupPacket(bytes.NewReader(p.Encode(nil)))
	if err != nil {
		t.Fatal(err)
	}
	want := wire.StartupMessage{Major: 3, Parameters: map[string]string{"user": "u"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStartupMessageNegotiate_1_1(t *testing.T) {
	for _, test := range []struct {
		name string
		m    wire.StartupMessage
		want *pgproto3.NegotiateProtocolVersion
	}{
		{"3.0", wire.StartupMessage{Major: 3}, nil},
		{"3.2", wire.StartupMessage{Major: 3, Minor: 2}, &pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: version3}},
		{
			"options", wire.StartupMessage{Major: 3, Options: []string{"_pq_.b", "_pq_.a"}},
			&pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: version3, UnrecognizedOptions: []string{"_pq_.b", "_pq_.a"}},
		},
	} {
		if diff := cmp.Diff(test.want, test.m.Negotiate()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestStartupMessageReplication_1_4(t *testing.T) {
	for _, value := range []string{"true", "t", "TR", "yes", "y", "on", "ON", "1", "database"} {
		m := wire.StartupMessage{Parameters: map[string]string{"replication": value}}
		if ok, err := m.Replication(); !ok || err != nil {
			t.Errorf("%q: %v, %v", value, ok, err)
		}
	}
	ordinary := protocol.Error{
		Severity: "FATAL", Code: "0A000", Message: "only replication connections are supported",
		Hint: `Connect with "replication=true".`,
	}
	for _, value := range []string{"false", "f", "FALS", "no", "n", "off", "of", "0"} {
		m := wire.StartupMessage{Parameters: map[string]string{"replication": value}}
		_, err := m.Replication()
		protocoltest.WantError(t, value, err, ordinary)
	}
	_, err := wire.StartupMessage{}.Replication()
	protocoltest.WantError(t, "absent", err, ordinary)

	for _, value := range []string{"", "o", "x", "truee", "true ", "2", "10", "Database", "databas"} {
		m := wire.StartupMessage{Parameters: map[string]string{"replication": value}}
		_, err := m.Replication()
		protocoltest.WantError(t, value, err, protocol.Error{
			Severity: "FATAL", Code: "22023", Message: `invalid value for parameter "replication": "` + value + `"`,
			Hint: `Valid values are: "false", 0, "true", 1, "database".`,
		})
	}
}

func FuzzDecodeStartupPacket(f *testing.F) {
	f.Add(wire.SSLRequest{}.Encode(nil)[4:])
	f.Add(wire.CancelRequest{SecretKey: []byte("key!")}.Encode(nil)[4:])
	f.Add(packet(version3|2, "user\x00u\x00_pq_.x\x00\x00\x00")[4:])
	f.Fuzz(func(t *testing.T, body []byte) {
		first, err := wire.DecodeStartupPacket(body)
		if err != nil {
			return
		}
		second, err := wire.DecodeStartupPacket(first.Encode(nil)[4:])
		if err != nil {
			t.Fatalf("%+v: %v", first, err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
	})
}
