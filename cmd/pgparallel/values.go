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
