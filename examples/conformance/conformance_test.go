package main

import (
	"testing"

	"github.com/pgparallel/pgparallel/walsender/conformance"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// TestConformance is one case of each area, for every day.
func TestConformance(t *testing.T) { conformance.Run(t, backUp, "*/001") }

// TestConformance_Long is every case of an area, and in a whole run the whole kit.
func TestConformance_Long(t *testing.T) {
	longtest.Mark(t)
	var cases []string // all
	if !longtest.Whole() {
		cases = []string{"FILES/*"}
	}
	conformance.Run(t, backUp, cases...)
}
