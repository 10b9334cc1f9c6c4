package main

import "testing"

func TestBitRates(t *testing.T) {
	var r bitRates
	must(t, r.Set("100Mbit,2.5Gbit,64kbit"))
	if r[0] != 1e8 || r[1] != 25e8 || r[2] != 64e3 || r.String() != "100Mbit,2.5Gbit,64kbit" {
		t.Errorf("%d, %v", r, r)
	}
	for _, text := range []string{"", "100", "Mbit", "-1Mbit", "1Mbit,", "9999Gbit", "nanGbit"} {
		if err := r.Set(text); err == nil {
			t.Errorf("%q is %d", text, r)
		}
	}
	var d durations
	must(t, d.Set("1ms,10ms"))
	if d.String() != "1ms,10ms" {
		t.Errorf("durations are %v", d)
	}
	for _, text := range []string{"", "1", "-1ms", "1ms,"} {
		if err := d.Set(text); err == nil {
			t.Errorf("%q is %v", text, d)
		}
	}
}
