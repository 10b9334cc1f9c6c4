package wire

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/pgparallel/pgparallel/protocol"
)

// protocolMajor is the protocol's major version; of its minor ones only 0 is
// spoken here.
const protocolMajor = 3

// StartupMessage begins a session: the protocol version and what the client asks
// for.
type StartupMessage struct {
	Major, Minor uint16 // Major is 3 in every decoded message
	// Parameters are the settings by name, among them user (never empty in a
	// decoded message), database and replication. Of a name that comes twice
	// the last value counts.
	Parameters map[string]string
	// Options are the names with the prefix _pq_. in the order of the packet:
	// extensions of the protocol, none of which is known here. Their values
	// are not kept.
	Options []string
}

func decodeStartupMessage(major, minor uint16, rest []byte) (StartupPacket, error) {
	if major != protocolMajor {
		return nil, protocol.Fatalf(protocol.CodeFeatureNotSupported, "unsupported frontend protocol %d.%d: server supports 3.0 to 3.0", major, minor)
	}
	m := StartupMessage{Major: major, Minor: minor, Parameters: map[string]string{}}
	for len(rest) > 0 && rest[0] != 0 {
		name, afterName, foundName := bytes.Cut(rest, []byte{0})
		value, afterValue, foundValue := bytes.Cut(afterName, []byte{0})
		if !foundName || !foundValue {
			break
		}
		rest = afterValue
		if bytes.HasPrefix(name, []byte("_pq_.")) {
			m.Options = append(m.Options, string(name))
		} else {
			m.Parameters[string(name)] = string(value)
		}
	}
	if len(rest) != 1 || rest[0] != 0 {
		return nil, protocol.Fatalf(protocol.CodeProtocolViolation, "invalid startup packet layout: expected terminator as last byte")
	}
	if m.Parameters["user"] == "" {
		return nil, protocol.Fatalf(protocol.CodeInvalidAuthorization, "no PostgreSQL user name specified in startup packet")
	}
	return m, nil
}

// Encode appends the packet to dst: the parameters by name, then the options, with
// empty values. A name or a value ends at its first NUL, as a string of C; a
// parameter without a name is left out.
func (m StartupMessage) Encode(dst []byte) []byte {
	var body []byte
	for _, name := range slices.Sorted(maps.Keys(m.Parameters)) {
		body = appendParameter(body, name, m.Parameters[name])
	}
	for _, name := range m.Options {
		body = appendParameter(body, name, "")
	}
	return appendStartup(dst, uint32(m.Major)<<16|uint32(m.Minor), append(body, 0))
}

func appendParameter(dst []byte, name, value string) []byte {
	name, _, _ = strings.Cut(name, "\x00")
	value, _, _ = strings.Cut(value, "\x00")
	if name == "" {
		return dst
	}
	dst = append(append(dst, name...), 0)
	return append(append(dst, value...), 0)
}

// Negotiate is what to answer before anything else where the client asks for more
// than protocol 3.0: a higher minor version or extensions (§1.1). It is nil where
// there is nothing to negotiate. Both ends go on as 3.0 then.
func (m StartupMessage) Negotiate() *pgproto3.NegotiateProtocolVersion {
	if m.Minor == 0 && len(m.Options) == 0 {
		return nil
	}
	return &pgproto3.NegotiateProtocolVersion{
		// PostgreSQL sends the whole version, and libpq takes it for that,
		// whatever the field is called.
		NewestMinorProtocol: protocolMajor << 16,
		UnrecognizedOptions: m.Options,
	}
}

// Replication reports whether the client asked for a replication session by the
// parameter of that name: true for a boolean of PostgreSQL that is true, or for
// "database" (§1.4). Whatever else is a fatal *[protocol.Error] besides: 22023 for a value
// that is neither, 0A000 where the session would be an ordinary one.
func (m StartupMessage) Replication() (bool, error) {
	value, given := m.Parameters["replication"]
	if value == "database" {
		return true, nil
	}
	wanted, valid := protocol.ParseBool(value)
	if given && !valid {
		return false, protocol.Fatalf(protocol.CodeInvalidParameterValue, "invalid value for parameter %q: %q", "replication", protocol.Shorten(value, 64)).
			WithHint(`Valid values are: "false", 0, "true", 1, "database".`)
	}
	if !wanted {
		return false, protocol.Fatalf(protocol.CodeFeatureNotSupported, "only replication connections are supported").
			WithHint(`Connect with "replication=true".`)
	}
	return true, nil
}
