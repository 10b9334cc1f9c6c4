package main

import (
	"strconv"
	"strings"
)

// transferRate is the value of -r: kB per second, 0 for no limit.
type transferRate int

// UnmarshalText reads a number with or without a fraction and the suffix k (kB,
// which it means without one) or M (MB), as pg_basebackup's parse_max_rate does.
func (r *transferRate) UnmarshalText(text []byte) error {
	value := strings.TrimSpace(string(text))
	digits := strings.TrimRightFunc(value, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
	unit := strings.TrimSpace(value[len(digits):])
	rate, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return usagef("transfer rate %q is not a valid value", text)
	}
	if rate <= 0 {
		return usagef("transfer rate must be greater than zero")
	}
	switch unit {
	case "", "k":
	case "M":
		rate *= 1024
	default:
		return usagef("invalid --max-rate unit: %q", unit)
	}
	// The comparison is of the fraction, too: what is below 32 is below it.
	if rate < 32 || rate > 1<<20 {
		return usagef("transfer rate %q is out of range", text)
	}
	*r = transferRate(rate)
	return nil
}
