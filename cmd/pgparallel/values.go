package main

import (
	"math"
	"strconv"
)

// parseInteger reads the whole number of an option, as PostgreSQL's programs do.
func parseInteger(text []byte, option string, least, most int) (int, error) {
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return 0, usagef("invalid value %q for option %s", text, option)
	}
	if n < least || n > most {
		return 0, usagef("%s must be in range %d..%d", option, least, most)
	}
	return n, nil
}

// jobCount is the value of -j.
type jobCount int

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (n *jobCount) UnmarshalText(text []byte) error {
	value, err := parseInteger(text, "-j/--jobs", 1, math.MaxInt32)
	*n = jobCount(value)
	return err
}

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

// workerCount is the value of --min-jobs.
type workerCount int

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (n *workerCount) UnmarshalText(text []byte) error {
	value, err := parseInteger(text, "--min-jobs", 1, math.MaxInt32)
	*n = workerCount(value)
	return err
}
