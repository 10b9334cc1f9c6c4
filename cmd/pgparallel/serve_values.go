package main

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender"
)

// portNumber is the number of a TCP port, or in the name of a Unix socket.
type portNumber int

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (n *portNumber) UnmarshalText(text []byte) error {
	value, err := parseInteger(text, "-p/--port", 1, math.MaxUint16)
	*n = portNumber(value)
	return err
}

// limitOptions bound what clients can take of the server. 0 is the server's default.
type limitOptions struct {
	MaxWALSenders         senderCount   `name:"max-wal-senders"`
	SenderTimeout         senderTimeout `name:"wal-sender-timeout"`
	MaxBackups            backupCount   `default:"10"`
	ReservedConnections   reservedCount `default:"3"`
	AuthenticationTimeout loginTimeout  `default:"1min"`
	DigestCache           memorySize    `default:"64MB"`
}

// digests makes the cache of digests; nil for none. The caller closes it.
func (o *limitOptions) digests() (*walsender.DigestCache, error) {
	if o.DigestCache == 0 {
		return nil, nil
	}
	return walsender.NewDigestCache(int64(o.DigestCache))
}

// bound gives the server its limits.
func (o *limitOptions) bound(server *walsender.Server) {
	server.MaxWALSenders = int(o.MaxWALSenders)
	server.SenderTimeout = time.Duration(o.SenderTimeout)
	server.AuthTimeout = time.Duration(o.AuthenticationTimeout)
	server.ReservedConnections = int(o.ReservedConnections)
	if o.ReservedConnections == 0 {
		server.ReservedConnections = -1
	}
	server.Backups = sharedstate.NewTable(int(o.MaxBackups))
}

// backupCount is the value of --max-backups.
type backupCount int

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (n *backupCount) UnmarshalText(text []byte) error {
	value, err := parseInteger(text, "--max-backups", 1, 1<<18-1)
	*n = backupCount(value)
	return err
}

// reservedCount is the value of --reserved-connections.
type reservedCount int

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (n *reservedCount) UnmarshalText(text []byte) error {
	value, err := parseInteger(text, "--reserved-connections", 0, 1<<18-1)
	*n = reservedCount(value)
	return err
}

// senderCount is the value of --max-wal-senders.
type senderCount int

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (n *senderCount) UnmarshalText(text []byte) error {
	// PostgreSQL's own limit of the parameter (MAX_BACKENDS).
	value, err := parseInteger(text, "--max-wal-senders", 1, 1<<18-1)
	*n = senderCount(value)
	return err
}

// memorySize is the value of --digest-cache, in bytes.
type memorySize int64

// memoryUnits are PostgreSQL's (guc.c).
var memoryUnits = map[string]float64{"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}

// UnmarshalText reads a size as PostgreSQL reads a parameter: a number, with a fraction
// perhaps, and a unit, without which it is 0.
func (m *memorySize) UnmarshalText(text []byte) error {
	value := strings.TrimSpace(string(text))
	digits := strings.TrimRightFunc(value, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
	number, err := strconv.ParseFloat(digits, 64)
	unit, known := memoryUnits[strings.TrimSpace(value[len(digits):])]
	if err != nil || !known && number != 0 {
		return usagef(`invalid value %q for option --digest-cache: a number and a unit, "B", "kB", "MB", "GB" or "TB"`, text)
	}
	size := math.Round(number * unit)
	if size != 0 && (size < 1<<20 || size > 1<<40) {
		return usagef("--digest-cache must be 0 or in range 1MB..1TB")
	}
	*m = memorySize(size)
	return nil
}

// authMethod is the value of --auth.
type authMethod string

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (m *authMethod) UnmarshalText(text []byte) error {
	if string(text) != "trust" {
		return usagef(`invalid authentication method %q, must be "trust"`, text)
	}
	*m = authMethod(text)
	return nil
}

// socketMode is the value of --socket-mode.
type socketMode uint32

// UnmarshalText reads an octal number.
func (m *socketMode) UnmarshalText(text []byte) error {
	value, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || value > 0o777 {
		return usagef("invalid value %q for option --socket-mode: three octal digits, as 0770", text)
	}
	*m = socketMode(value)
	return nil
}

// senderTimeout is the value of --wal-sender-timeout as a Server has it: 0 for the
// default, less than 0 for none.
type senderTimeout time.Duration

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (t *senderTimeout) UnmarshalText(text []byte) error {
	limit, err := parseTime(text, "--wal-sender-timeout", 0)
	if limit == 0 {
		limit = -1
	}
	*t = senderTimeout(limit)
	return err
}

// loginTimeout is the value of --authentication-timeout.
type loginTimeout time.Duration

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (t *loginTimeout) UnmarshalText(text []byte) error {
	limit, err := parseTime(text, "--authentication-timeout", 1)
	*t = loginTimeout(limit)
	return err
}

// timeUnits are PostgreSQL's, in its order of size (guc.c). Without a unit the
// parameter is in milliseconds.
var timeUnits = map[string]time.Duration{
	"us": time.Microsecond, "ms": time.Millisecond, "": time.Millisecond,
	"s": time.Second, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// parseTime reads a time as PostgreSQL reads a parameter: a number, with a fraction
// perhaps, and a unit. least is in milliseconds.
func parseTime(text []byte, option string, least float64) (time.Duration, error) {
	value := strings.TrimSpace(string(text))
	digits := strings.TrimRightFunc(value, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
	number, err := strconv.ParseFloat(digits, 64)
	unit, known := timeUnits[strings.TrimSpace(value[len(digits):])]
	if err != nil || !known {
		return 0, usagef(`invalid value %q for option %s: a number and a unit, "us", "ms", "s", "min", "h" or "d"`, text, option)
	}
	milliseconds := math.Round(number * float64(unit) / float64(time.Millisecond))
	if milliseconds < least || milliseconds > math.MaxInt32 {
		return 0, usagef("%s must be in range %v..%d ms", option, least, math.MaxInt32)
	}
	return time.Duration(milliseconds) * time.Millisecond, nil
}
