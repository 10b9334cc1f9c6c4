package main

import (
	"testing"
	"time"
)

func TestSenderTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": -1, "0s": -1, "100us": -1, "2500": 2500 * time.Millisecond, "1.5 s": 1500 * time.Millisecond,
		"60s": time.Minute, " 5min ": 5 * time.Minute, "2h": 2 * time.Hour, "1d": 24 * time.Hour, "2147483647": 2147483647 * time.Millisecond,
	} {
		var got senderTimeout
		if err := got.UnmarshalText([]byte(text)); err != nil || time.Duration(got) != want {
			t.Errorf("%q is %v, %v, want %v", text, time.Duration(got), err, want)
		}
	}
	for _, text := range []string{"", "s", "1 hour", "1H", "-1", "25d", "NaN", "1m"} {
		if err := new(senderTimeout).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
