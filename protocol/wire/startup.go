package wire

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/pgparallel/pgparallel/protocol"
)

// The packets of the time before a session, by the number that each begins with
// (PostgreSQL's libpq/pqcomm.h). Any other number is a protocol version.
const (
	cancelRequestCode = 1234<<16 | 5678
	sslRequestCode    = 1234<<16 | 5679
	gssencRequestCode = 1234<<16 | 5680
)

// maxStartupPacket is the limit of §7.1, in bytes, the length word included.
const maxStartupPacket = 10_000

// StartupPacket is what a connection begins with: an [SSLRequest], a
// [GSSENCRequest], a [CancelRequest] or a [StartupMessage] (§1.1-§1.3), each as a
// value.
type StartupPacket interface {
	// Encode appends the packet, with its length word, to dst.
	Encode(dst []byte) []byte
	startupPacket()
}

// SSLRequest asks for TLS. The answer is a single byte: S, or N for no.
type SSLRequest struct{}

// GSSENCRequest asks for encryption by GSSAPI. The answer is a single byte: N.
type GSSENCRequest struct{}

// CancelRequest asks to cancel what the session with this key is doing. The
// answer is a close.
type CancelRequest struct {
	ProcessID uint32
	SecretKey []byte // 4 to 256 bytes
}

func (SSLRequest) startupPacket()     {}
func (GSSENCRequest) startupPacket()  {}
func (CancelRequest) startupPacket()  {}
func (StartupMessage) startupPacket() {}

// Encode appends the packet to dst.
func (SSLRequest) Encode(dst []byte) []byte { return appendStartup(dst, sslRequestCode, nil) }

// Encode appends the packet to dst.
func (GSSENCRequest) Encode(dst []byte) []byte { return appendStartup(dst, gssencRequestCode, nil) }

// Encode appends the packet to dst.
func (c CancelRequest) Encode(dst []byte) []byte {
	body := binary.BigEndian.AppendUint32(nil, c.ProcessID)
	return appendStartup(dst, cancelRequestCode, append(body, c.SecretKey...))
}

func appendStartup(dst []byte, code uint32, body []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(8+len(body)))
	dst = binary.BigEndian.AppendUint32(dst, code)
	return append(dst, body...)
}

// ReadStartupPacket reads one packet and not a byte more: what a peer sent behind
// a request for encryption stays in r and meets whatever reads it next (TLS, which
// refuses it), so nothing can be smuggled into the session. The error is io.EOF
// where r ended before the packet; one of [DecodeStartupPacket]; else that of r,
// wrapped (io.ErrUnexpectedEOF where r ended inside the packet).
//
// A TLS handshake that begins without an SSLRequest looks like a packet of an
// impossible length: whoever accepts those looks at the first byte (0x16) before.
func ReadStartupPacket(r io.Reader) (StartupPacket, error) {
	var word [4]byte
	if _, err := io.ReadFull(r, word[:]); err == io.EOF {
		return nil, err
	} else if err != nil {
		return nil, fmt.Errorf("could not read startup packet: %w", err)
	}
	length := binary.BigEndian.Uint32(word[:])
	if length < 8 || length > maxStartupPacket {
		return nil, errStartupLength()
	}
	body := make([]byte, length-4)
	if _, err := io.ReadFull(r, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("could not read startup packet: %w", err)
	}
	return DecodeStartupPacket(body)
}

// DecodeStartupPacket decodes a packet without its length word; it copies what it
// keeps. The error is a fatal *[protocol.Error] with PostgreSQL's text: 08P01 for a packet
// that is not well formed, which a request for encryption with anything behind its
// code is too; 0A000 for a protocol other than 3; 28000 for a StartupMessage
// without a user.
func DecodeStartupPacket(body []byte) (StartupPacket, error) {
	if len(body) < 4 || len(body) > maxStartupPacket-4 {
		return nil, errStartupLength()
	}
	code, rest := binary.BigEndian.Uint32(body), body[4:]
	switch code {
	case sslRequestCode:
		if len(rest) == 0 {
			return SSLRequest{}, nil
		}
	case gssencRequestCode:
		if len(rest) == 0 {
			return GSSENCRequest{}, nil
		}
	case cancelRequestCode:
		if len(rest) >= 4+4 && len(rest) <= 4+256 {
			return CancelRequest{
				ProcessID: binary.BigEndian.Uint32(rest),
				SecretKey: append([]byte(nil), rest[4:]...),
			}, nil
		}
	default:
		return decodeStartupMessage(uint16(code>>16), uint16(code), rest)
	}
	return nil, errStartupLength()
}

func errStartupLength() *protocol.Error {
	return protocol.Fatalf(protocol.CodeProtocolViolation, "invalid length of startup packet")
}
