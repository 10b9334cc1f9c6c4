package main

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// portNumber is the number of a TCP port, or in the name of a Unix socket.
type portNumber int

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (n *portNumber) UnmarshalText(text []byte) error {
	value, err := parseInteger(text, "-p/--port", 1, math.MaxUint16)
	*n = portNumber(value)
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

// timeUnits are PostgreSQL's, in its order of size (guc.c). Without a unit the
// parameter is in milliseconds.
var timeUnits = map[string]time.Duration{
	"us": time.Microsecond, "ms": time.Millisecond, "": time.Millisecond,
	"s": time.Second, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// UnmarshalText reads a time as PostgreSQL reads the parameter: a number, with a
// fraction perhaps, and a unit; 0 turns the limit off.
func (t *senderTimeout) UnmarshalText(text []byte) error {
	const option = "--wal-sender-timeout"
	value := strings.TrimSpace(string(text))
	digits := strings.TrimRightFunc(value, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
	number, err := strconv.ParseFloat(digits, 64)
	unit, known := timeUnits[strings.TrimSpace(value[len(digits):])]
	if err != nil || !known {
		return usagef(`invalid value %q for option %s: a number and a unit, "us", "ms", "s", "min", "h" or "d"`, text, option)
	}
	milliseconds := math.Round(number * float64(unit) / float64(time.Millisecond))
	switch {
	case milliseconds < 0 || milliseconds > math.MaxInt32:
		return usagef("%s must be in range 0..%d ms", option, math.MaxInt32)
	case milliseconds == 0:
		*t = -1
	default:
		*t = senderTimeout(time.Duration(milliseconds) * time.Millisecond)
	}
	return nil
}
